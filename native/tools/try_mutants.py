#!/usr/bin/env python3
"""Lets every detector look for every planted fault, with several seeds, and says how long each needed.

    try_mutants.py < ASKED.json

ASKED is one object: `detectors` (list of {name, variant, threads}), `subjects` (name → {sources, benches, gates}; a bench is
[name, settings]), `mutants` and `decoys` (folders of patches), `only` (names; empty: all), `seeds` (list of numbers), `budget_s`
(of one trial: one mutant, one detector, one seed), `jobs`, and `keep` (a file of earlier answers, or ""). `orch race score`
writes it, and makes a scoreboard of what is printed: one JSON object per line,

    {"type": "void", "detector", "subject", "report"}     it reports the sources as they are: it is not asked about that subject
    {"type": "trial", "mutant", "decoy", "breaks", "kinds", "subjects", "detector", "seed", "killed", "seconds", "executions", "report", "token",
     "replayed", "switches", "key"}
    {"type": "unusable", "mutant", "report"}               the patch does not apply, or what it makes does not build

A mutant's subjects are those whose sources it changes; the explorer runs their scenarios, then those of others that the change reaches, any other detector their benches, in
turns of growing length, until one fails or the budget is spent. What fails is killed: a violation, a report, a crash, a run that does
not end. A kill by the explorer is had again from its token. Answers of the same patch over the same sources are not asked for twice.
Exit status 0, or 2 where nothing could be tried.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from check_mutants import (
    CHANGED,
    HARNESS,
    NATIVE,
    Build,
    Unusable,
    compile_changed,
    link,
    make_build,
    plant,
    program_name,
    run,
)
from check_mutants import Detector as Program

OF_SUBJECT = re.compile(r'^EXPLORE_SCENARIOS\("(\w+)"', re.MULTILINE)
SAID = re.compile(r"^(Breaks|Decoy|Kind):\s*(\S.*?)\s*$", re.MULTILINE)
#: Of the first turn of a scenario or bench, seconds; each further turn is twice as long.
FIRST_TURN_S = 0.25
LONGEST_TURN_S = 4.0
#: Beyond its window, of a run that hangs. Counted in looks and not by the clock: a machine may stand still for a while.
PATIENCE_S = 20.0
LOOK_S = 0.05
#: A detector must be silent over the sources as they are for so long per scenario or bench.
GATE_S = 1.0


@dataclass(frozen=True)
class Detector:
    name: str
    variant: str
    threads: int

    @property
    def explores(self) -> bool:
        return self.variant == "explore"


@dataclass(frozen=True)
class Fault:
    """One patch: what it breaks, what it takes to see it, and the sources that it changes, relative to native/."""

    path: Path
    breaks: str
    kinds: list[str]
    changed: list[str]


@dataclass(frozen=True)
class Work:
    """One run: a scenario, or a bench with its settings."""

    bench: str
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass
class Ran:
    passed: bool
    seconds: float
    executions: float
    report: str = ""
    token: str = ""
    #: times that threads change in the run as it is shown; None where no explorer found it
    switches: int | None = None


@dataclass
class Trial:
    mutant: str
    decoy: bool
    breaks: str
    kinds: list[str]
    subjects: list[str]
    detector: str
    seed: int
    killed: bool
    seconds: float
    executions: float
    report: str
    token: str
    replayed: bool | None
    switches: int | None
    key: str
    type: str = "trial"


@dataclass
class Asked:
    detectors: list[Detector]
    subjects: dict[str, dict[str, Any]]
    seeds: list[int]
    budget_s: float
    jobs: int
    builds: dict[str, Build] = field(default_factory=dict)
    #: subject → scenarios of the explorer
    scenarios: dict[str, list[str]] = field(default_factory=dict)
    void: set[tuple[str, str]] = field(default_factory=set)
    build_id: str = ""

    def works(self, detector: Detector, subjects: list[str]) -> list[Work]:
        asked = [s for s in subjects if (detector.name, s) not in self.void]
        if detector.explores:
            return [Work(name) for s in asked for name in self.scenarios.get(s, [])]
        made = (
            [Work(b, tuple(v.items())) for s in asked for b, v in self.subjects[s]["benches"]]
            if asked
            else []
        )
        return list(dict.fromkeys(made))


_OUT = threading.Lock()


def say(value: dict[str, Any]) -> None:
    with _OUT:
        print(json.dumps(value), flush=True)


# --- one run --------------------------------------------------------------------------------------------


def run_once(program: Path, detector: Detector, work: Work, seconds: float, seed: int) -> Ran:
    """Raises Unusable where the program refuses its words."""
    words = [
        "run",
        work.bench,
        "--threads",
        str(detector.threads),
        "--seconds",
        f"{seconds:g}",
        "--warmup",
        "0",
    ]
    words += ["--interval", "0", "--seed", str(seed)]
    for key, value in work.settings:
        words += ["--set", f"{key}={value}"]
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "abort_on_error=0"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        started = time.monotonic()
        process = subprocess.Popen([str(program), *words], stdout=out, stderr=err, env=environment)
        look = LOOK_S if seconds > 1 else LOOK_S / 5
        for _ in range(int((seconds + PATIENCE_S) / look)):
            if process.poll() is not None:
                break
            time.sleep(look)
        hangs = process.poll() is None
        if hangs:
            process.kill()
        code = process.wait()
        took = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        return judge(work, code, hangs, took, out.read(), err.read())


def judge(work: Work, code: int, hangs: bool, took: float, out: str, err: str) -> Ran:
    records = list(records_of(out))
    results = [r for r in records if r.get("type") == "result"]
    executions = float(results[-1].get("ops", 0)) if results else 0.0
    if hangs:
        return Ran(False, took, executions, "hangs")
    if code == 0:
        return Ran(True, took, executions)
    if code == 2:
        raise Unusable(f"{work.bench}: {err.strip().splitlines()[-1] if err.strip() else 'is refused'}")
    violations = [r for r in records if r.get("type") == "violation"]
    if violations:
        first = violations[0]
        report = str(first.get("evidence", ""))
        # what it took to make it small is not the time to find it
        found = min(took, float(first.get("t", took)))
        return Ran(False, found, executions, report[:300], str(first.get("token", "")), first.get("switches"))
    if results and results[-1].get("status") == "error":
        return Ran(False, took, executions, f"error: {results[-1].get('message')}"[:300])
    lines = [
        x.strip() for x in err.splitlines() if "Sanitizer" in x or "runtime error" in x
    ] or err.strip().splitlines()
    return Ran(False, took, executions, (lines[0] if lines else f"exit status {code}")[:300])


def records_of(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def replays(program: Path, token: str) -> bool:
    command = [str(program), "replay", token]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 1 and '"type":"violation"' in done.stdout


# --- one trial ------------------------------------------------------------------------------------------


def look_for(program: Path, detector: Detector, works: list[Work], asked: Asked, seed: int) -> Ran:
    """All of the works in turns, until one fails or the budget is spent."""
    total = Ran(True, 0.0, 0.0)
    turn, number = FIRST_TURN_S, 0
    while total.seconds < asked.budget_s:
        for work in works:
            number += 1
            left = min(turn, max(asked.budget_s - total.seconds, FIRST_TURN_S))
            ran = run_once(program, detector, work, left, seed * 1_000_000_007 + number * 1_000_003)
            total = Ran(
                ran.passed,
                total.seconds + ran.seconds,
                total.executions + ran.executions,
                ran.report,
                ran.token,
                ran.switches,
            )
            if not ran.passed or total.seconds >= asked.budget_s:
                return total
        turn = min(turn * 2, LONGEST_TURN_S)
    return total


def subjects_of(mutant: Fault, subjects: dict[str, dict[str, Any]]) -> list[str]:
    """Those whose sources it changes, by the longest beginning that fits; all of them where none does."""
    found: dict[str, None] = {}
    for path in mutant.changed:
        fits = {
            n: max((len(x) for x in s["sources"] if path.startswith(x)), default=0)
            for n, s in subjects.items()
        }
        best = max(fits.values())
        found.update(
            dict.fromkeys(n for n, length in fits.items() if length == best) if best else dict.fromkeys(fits)
        )
    return list(found)


def scenarios_over(build: Build, changed: set[str]) -> list[str]:
    """The subjects whose scenarios a change reaches: what is wrong below may show above alone."""
    found = []
    for name, made_from in build.made_from.items():
        source = NATIVE / "explore" / f"{name.split('/')[1].removesuffix('.dir')}.c"
        if name.startswith("CMakeFiles/scenario_") and made_from & changed:
            found += OF_SUBJECT.findall(source.read_text())
    return found


def try_mutant(path: Path, mutant: Fault, decoy: bool, asked: Asked, kept: dict[str, dict[str, Any]]) -> None:
    subjects = subjects_of(mutant, asked.subjects)
    patch = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    with tempfile.TemporaryDirectory(prefix="orch-mutant-") as folder:
        sources: Path | None = None
        for detector in asked.detectors:
            beside = (
                scenarios_over(asked.builds[detector.variant], set(mutant.changed))
                if detector.explores
                else []
            )
            works = asked.works(detector, list(dict.fromkeys([*subjects, *beside])))
            if not works:
                continue
            program: Path | None = None
            for seed in asked.seeds:
                key = f"{asked.build_id}:{patch}:{detector.name}:{seed}:{asked.budget_s:g}"
                if key in kept:
                    say(kept[key])
                    continue
                sources = sources or plant(mutant, Path(folder))
                if program is None:
                    program = built(asked.builds[detector.variant], mutant, sources, detector, Path(folder))
                ran = look_for(program, detector, works, asked, seed)
                again = replays(program, ran.token) if ran.token else None
                trial = Trial(
                    mutant.path.stem,
                    decoy,
                    mutant.breaks,
                    mutant.kinds,
                    subjects,
                    detector.name,
                    seed,
                    not ran.passed,
                    round(ran.seconds, 3),
                    ran.executions,
                    ran.report,
                    ran.token,
                    again,
                    ran.switches,
                    key,
                )
                say(asdict(trial))


def built(build: Build, mutant: Fault, sources: Path, detector: Detector, folder: Path) -> Path:
    """The harness of a variant with the fault in it. Objects of two variants have the same names."""
    own = folder / detector.name
    own.mkdir()
    (own / "native").symlink_to(sources, target_is_directory=True)
    if detector.explores:
        return link_explorer(build, set(mutant.changed), own / "native")
    return link(build, HARNESS, set(mutant.changed), own / "native")


def link_explorer(build: Build, changed: set[str], sources: Path) -> Path:
    """Its scenarios are objects whose names are made local before they are linked (cmake/explore.cmake)."""
    scenarios = [name for name in build.commands if name.startswith("CMakeFiles/scenario_")]
    made = compile_changed(build, [*scenarios, *build.objects(HARNESS)], changed, sources)
    local = {}
    for name in (n for n in scenarios if n in made):
        target = name.split("/")[1].removesuffix(".dir") + ".local.o"
        local[target] = sources.parent / target
        command = ["objcopy", "--keep-global-symbol=orch_none", str(made[name]), str(local[target])]
        run(command, build.folder, "objcopy")
    words = shlex.split((build.folder / "CMakeFiles" / f"{HARNESS}.dir" / "link.txt").read_text())
    words = [str(made.get(w) or local.get(Path(w).name) or w) for w in words]
    program = sources.parent / HARNESS
    words[words.index("-o") + 1] = str(program)
    run(words, build.folder, "does not link")
    return program


# --- all of them ----------------------------------------------------------------------------------------


def program_of(build: Build, detector: Detector) -> Path:
    return build.folder / program_name(Program(detector.variant, HARNESS, "", detector.name))


def list_scenarios(asked: Asked) -> None:
    for detector in asked.detectors:
        program = program_of(asked.builds[detector.variant], detector)
        done = subprocess.run([str(program), "list", "--json"], capture_output=True, text=True, check=True)
        listing = json.loads(done.stdout)
        asked.build_id = listing["build"]
        if detector.explores:
            for bench in listing["benches"]:
                asked.scenarios.setdefault(bench["subject"], []).append(bench["name"])
    for subject in asked.scenarios:
        asked.subjects.setdefault(subject, {"sources": [], "benches": [], "gates": []})


def find_void(asked: Asked) -> None:
    """Over the sources as they are, and over code with locks, every detector must be silent."""

    def one(detector: Detector, subject: str, work: Work) -> None:
        ran = run_once(program_of(asked.builds[detector.variant], detector), detector, work, GATE_S, 1)
        if not ran.passed and (detector.name, subject) not in asked.void:
            asked.void.add((detector.name, subject))
            say(
                {
                    "type": "void",
                    "detector": detector.name,
                    "subject": subject,
                    "report": f"{work.bench}: {ran.report}",
                }
            )

    with ThreadPoolExecutor(asked.jobs) as pool:
        for detector in asked.detectors:
            for subject, about in asked.subjects.items():
                gates = [] if detector.explores else [Work(g) for g in about["gates"]]
                for work in [*gates, *asked.works(detector, [subject])]:
                    pool.submit(one, detector, subject, work)


def read_kept(path: str) -> dict[str, dict[str, Any]]:
    if not path or not Path(path).is_file():
        return {}
    return {r["key"]: r for r in records_of(Path(path).read_text()) if r.get("type") == "trial"}


def patches(folder: str, only: list[str]) -> list[Path]:
    found = sorted(Path(folder).glob("*.patch")) if folder else []
    return [path for path in found if not only or path.stem in only]


def read_fault(path: Path) -> Fault:
    """The tests that it names are of no matter here. Raises Unusable where it changes nothing of ours."""
    text = path.read_text(errors="replace")
    said = dict(SAID.findall(text.split("\n---", 1)[0]))
    changed = CHANGED.findall(text)
    if not changed:
        raise Unusable(f"{path.name} changes nothing below native/")
    kinds = [kind.strip() for kind in said.get("Kind", "").split(",") if kind.strip()]
    return Fault(path, said.get("Breaks") or said.get("Decoy") or "", kinds, changed)


def main() -> int:
    value = json.load(sys.stdin)
    asked = Asked(
        [Detector(**d) for d in value["detectors"]],
        value["subjects"],
        value["seeds"],
        value["budget_s"],
        value["jobs"],
    )
    tried = [(p, False) for p in patches(value["mutants"], value["only"])]
    tried += [(p, True) for p in patches(value["decoys"], value["only"])]
    if not tried:
        print("try_mutants.py: no such mutant", file=sys.stderr)
        return 2
    try:
        for detector in asked.detectors:
            if detector.variant not in asked.builds:
                asked.builds[detector.variant] = make_build(detector.variant, {HARNESS}, asked.jobs)
    except Unusable as e:
        print(f"try_mutants.py: {e}", file=sys.stderr)
        return 2
    list_scenarios(asked)
    find_void(asked)
    kept = read_kept(value["keep"])

    def one(path: Path, decoy: bool) -> None:
        try:
            try_mutant(path, read_fault(path), decoy, asked, kept)
        except Unusable as e:
            say({"type": "unusable", "mutant": path.stem, "report": str(e)[:2000]})

    with ThreadPoolExecutor(asked.jobs) as pool:
        list(pool.map(lambda t: one(*t), tried))
    return 0


if __name__ == "__main__":
    sys.exit(main())
