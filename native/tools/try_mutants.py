#!/usr/bin/env python3
"""Lets every detector look for every planted fault, with several seeds, and says how long each needed.

    try_mutants.py < ASKED.json

ASKED is one object: `detectors` (list of {name, variant, threads, budget_s, words, histories}, see trial.py), `subjects` (name → {sources,
benches, histories, gates}; a bench is [name, settings]), `judge` (a command that judges the records of a history), `mutants` and `decoys`
(folders of patches), `only` (names; empty: all), `seeds` (list of numbers), `jobs`, and `keep` (a file of earlier answers, or ""). `orch race
score` writes it, and makes a scoreboard of what is printed: one JSON object per line,

    {"type": "plan", "build", "faults", "stands_on", "patches", "trials", "kept", "about_s", "most_s"}     before the first trial: how many there are,
     and how long it takes; of what sources and patches an answer holds: its key begins with one of each
    {"type": "clean", "detector", "bench", "passed", "late_s", "report", "key"}     of the sources as they are
    {"type": "void", "detector", "subject", "report"}     it reports the sources as they are: it is not asked about that subject
    {"type": "trial", "mutant", "decoy", "breaks", "kinds", "subjects", "detector", "seed", "killed", "seconds", "executions", "report", "token",
     "replayed", "switches", "key"}
    {"type": "unusable", "mutant", "report"}               the patch does not apply, or what it makes does not build
    {"type": "whole", "build"}                             nothing is missing

Where it is broken off most is known by then: the explorer comes first, then, with one seed after the other, the decoys and what the other detectors find.
A mutant's subjects are those whose sources it changes; the explorer runs their scenarios, then those of others that the change reaches, any other
detector their benches. A kill by the explorer is had again from its token. Answers of the same patch over the same sources are not asked for twice;
the sources are those that the runs are made from, not the whole tree. Exit status 0, or 2 where nothing could be tried.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
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
    make_build,
    program_name,
)
from check_mutants import Detector as Program
from planted import Programs, objects_of, scenarios_over
from trial import Detector, Ground, Ran, Work, look_for, records_of, replays, run_once

SAID = re.compile(r"^(Breaks|Decoy|Kind):\s*(\S.*?)\s*$", re.MULTILINE)
#: A detector must be silent over the sources as they are for so long per scenario or bench.
GATE_S = 1.0
#: For the plan: seconds to compile and link a fault for one variant, and the part of its budget that a trial takes, as measured.
BUILD_S = 6.0
SPENT = 0.6


@dataclass(frozen=True)
class Fault:
    """One patch: what it breaks, what it takes to see it, and the sources that it changes, relative to native/."""

    path: Path
    decoy: bool
    breaks: str
    kinds: list[str]
    changed: list[str]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]


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
class Round:
    """Who looks for which faults, with which seeds. ``last``: the programs of these detectors are not needed any more."""

    faults: list[Fault]
    detectors: list[Detector]
    seeds: list[int]
    last: bool


@dataclass
class Asked:
    detectors: list[Detector]
    subjects: dict[str, dict[str, Any]]
    seeds: list[int]
    jobs: int
    ground: Ground
    programs: Programs
    #: key → an earlier answer
    kept: dict[str, dict[str, Any]]
    builds: dict[str, Build] = field(default_factory=dict)
    #: subject → scenarios of the explorer
    scenarios: dict[str, list[str]] = field(default_factory=dict)
    void: set[tuple[str, str]] = field(default_factory=set)
    build_id: str = ""

    def works(self, detector: Detector, subjects: list[str]) -> list[Work]:
        """What a detector runs to look at these; nothing where it is void, or has nothing that reaches them."""
        asked = [s for s in subjects if (detector.name, s) not in self.void]
        if detector.explores:
            return [Work(name) for s in asked for name in self.scenarios.get(s, [])]
        which = "histories" if detector.histories else "benches"
        made = [Work(b, tuple(v.items())) for s in asked for b, v in self.subjects[s].get(which, ())]
        return list(dict.fromkeys(made))

    def works_over(self, detector: Detector, fault: Fault) -> list[Work]:
        subjects = subjects_of(fault, self.subjects)
        if detector.explores:
            subjects += scenarios_over(self.builds[detector.variant], set(fault.changed))
        return self.works(detector, list(dict.fromkeys(subjects)))

    def stands_on(self, detector: Detector, works: list[Work]) -> str:
        """What an answer holds for: the digest of all that these runs are made from."""
        names = {work.bench for work in works}
        subjects = {s for s, scenarios in self.scenarios.items() if names.intersection(scenarios)}
        build = self.builds[detector.variant]
        return self.programs.made_of(
            build, objects_of(build, subjects if detector.explores else set(), names)
        )

    def key(self, fault: Fault, detector: Detector, works: list[Work], seed: int) -> str:
        return (
            f"{self.stands_on(detector, works)}:{fault.digest}:{detector.name}:{seed}:{detector.budget_s:g}"
        )


_OUT = threading.Lock()


def say(value: dict[str, Any]) -> None:
    with _OUT:
        print(json.dumps(value), flush=True)


# --- what a fault is about ------------------------------------------------------------------------------


def patches(folder: str, only: list[str]) -> list[Path]:
    found = sorted(Path(folder).glob("*.patch")) if folder else []
    return [path for path in found if not only or path.stem in only]


def read_fault(path: Path, decoy: bool) -> Fault:
    """The tests that it names are of no matter here. Raises Unusable where it changes nothing of ours."""
    text = path.read_text(errors="replace")
    said = dict(SAID.findall(text.split("\n---", 1)[0]))
    changed = CHANGED.findall(text)
    if not changed:
        raise Unusable(f"{path.name} changes nothing below native/")
    kinds = [kind.strip() for kind in said.get("Kind", "").split(",") if kind.strip()]
    return Fault(path, decoy, said.get("Breaks") or said.get("Decoy") or "", kinds, changed)


def subjects_of(fault: Fault, subjects: dict[str, dict[str, Any]]) -> list[str]:
    """Those whose sources it changes, by the longest beginning that fits; all of them where none does."""
    found: dict[str, None] = {}
    for path in fault.changed:
        fits = {
            n: max((len(x) for x in s["sources"] if path.startswith(x)), default=0)
            for n, s in subjects.items()
        }
        best = max(fits.values())
        found.update(
            dict.fromkeys(n for n, length in fits.items() if length == best) if best else dict.fromkeys(fits)
        )
    return list(found)


# --- one fault ------------------------------------------------------------------------------------------


def try_fault(fault: Fault, turn: Round, asked: Asked) -> None:
    """Raises Unusable where the patch does not apply, or what it makes does not build."""
    for detector in turn.detectors:
        works = asked.works_over(detector, fault)
        for seed in turn.seeds if works else ():
            key = asked.key(fault, detector, works, seed)
            if key in asked.kept:
                say(asked.kept[key])
            else:
                program = asked.programs.of(asked.builds[detector.variant], fault)
                trial(fault, detector, works, seed, program, asked)
    for variant in {d.variant for d in turn.detectors} if turn.last else ():
        asked.programs.forget(asked.builds[variant], fault)


def trial(
    fault: Fault, detector: Detector, works: list[Work], seed: int, program: Path, asked: Asked
) -> None:
    ran = look_for(program, detector, works, asked.ground, seed)
    made = Trial(
        fault.path.stem,
        fault.decoy,
        fault.breaks,
        fault.kinds,
        subjects_of(fault, asked.subjects),
        detector.name,
        seed,
        not ran.passed,
        round(ran.seconds, 3),
        ran.executions,
        ran.report,
        ran.token,
        replays(program, ran.token) if ran.token else None,
        ran.switches,
        asked.key(fault, detector, works, seed),
    )
    say(asdict(made))


# --- the sources as they are ----------------------------------------------------------------------------


def program_of(build: Build, detector: Detector) -> Path:
    return build.folder / program_name(Program(detector.variant, HARNESS, "", detector.name))


def list_scenarios(asked: Asked) -> None:
    for detector in asked.detectors:
        program = program_of(asked.builds[detector.variant], detector)
        done = subprocess.run([str(program), "list", "--json"], capture_output=True, text=True, check=True)
        listing = json.loads(done.stdout)
        asked.build_id = listing["build"]
        for bench in listing["benches"] if detector.explores else ():
            asked.scenarios.setdefault(bench["subject"], []).append(bench["name"])
    for subject in asked.scenarios:
        asked.subjects.setdefault(subject, {"sources": [], "benches": [], "gates": []})


def find_void(asked: Asked) -> None:
    """Over the sources as they are, and over code with locks, every detector must be silent. How late they end says when one hangs."""
    behind: dict[tuple[Detector, Work], list[str]] = {}
    for detector in asked.detectors:
        for subject, about in asked.subjects.items():
            gates = [Work(g) for g in about["gates"] if not detector.explores and not detector.histories]
            for work in [*gates, *asked.works(detector, [subject])]:
                behind.setdefault((detector, work), []).append(subject)

    def one(pair: tuple[Detector, Work]) -> dict[str, Any]:
        detector, work = pair
        key = f"{asked.stands_on(detector, [work])}:clean:{detector.name}:{work}"
        answer = asked.kept.get(key)
        if answer is None:
            program = program_of(asked.builds[detector.variant], detector)
            try:
                ran = run_once(program, detector, work, GATE_S, 1, asked.ground)
            except Unusable as e:
                ran = Ran(False, GATE_S, 0.0, str(e))
            answer = {"type": "clean", "detector": detector.name, "bench": str(work), "passed": ran.passed}
            answer |= {"late_s": round(ran.late_s, 3), "report": ran.report, "key": key}
        say(answer)
        return answer

    with ThreadPoolExecutor(asked.jobs) as pool:
        answers = list(pool.map(one, behind))
    for (detector, work), answer in zip(behind, answers, strict=True):
        asked.ground.late_s[detector.name, work] = answer["late_s"]
        for subject in () if answer["passed"] else behind[detector, work]:
            if (detector.name, subject) not in asked.void:
                asked.void.add((detector.name, subject))
                void = {"type": "void", "detector": detector.name, "subject": subject}
                void |= {"report": f"{work.bench}: {answer['report']}"}
                say(void | {"key": f"{asked.build_id}:void:{detector.name}:{subject}"})


# --- all of them ----------------------------------------------------------------------------------------


def rounds(faults: list[Fault], asked: Asked) -> list[Round]:
    """In which order: who is broken off shall know most by then. First the explorer, which finds most, and soon, with all seeds; then, with one seed after
    the other, whether all are silent about what is right, and what the others find."""
    explorers = [d for d in asked.detectors if d.explores]
    others = [d for d in asked.detectors if not d.explores]
    decoys, planted = [f for f in faults if f.decoy], [f for f in faults if not f.decoy]
    made = [Round(planted, explorers, asked.seeds, True)]
    for seed in asked.seeds:
        last = seed == asked.seeds[-1]
        made += [Round(decoys, asked.detectors, [seed], last), Round(planted, others, [seed], last)]
    return [r for r in made if r.faults and r.detectors]


def plan(faults: list[Fault], asked: Asked) -> dict[str, Any]:
    """How long what is not known yet takes, about and at most, if each of the jobs has a CPU."""
    most = about = 0.0
    trials = kept = 0
    stands_on: set[str] = set()
    for fault in faults:
        variants = set()
        for detector in asked.detectors:
            works = asked.works_over(detector, fault)
            if not works:
                continue
            stands_on.add(asked.stands_on(detector, works))
            open_ = sum(asked.key(fault, detector, works, seed) not in asked.kept for seed in asked.seeds)
            trials += len(asked.seeds)
            kept += len(asked.seeds) - open_
            most += open_ * detector.budget_s
            about += open_ * detector.budget_s * (1 if fault.decoy else SPENT)
            variants |= {detector.variant} if open_ else set()
        most += len(variants) * BUILD_S
        about += len(variants) * BUILD_S
    made: dict[str, Any] = {"type": "plan", "build": asked.build_id, "faults": len(faults)}
    made |= {"stands_on": sorted(stands_on), "patches": sorted(f.digest for f in faults)}
    made |= {"trials": trials, "kept": kept}
    return made | {"about_s": round(about / asked.jobs), "most_s": round(most / asked.jobs)}


def read_kept(path: str) -> dict[str, dict[str, Any]]:
    if not path or not Path(path).is_file():
        return {}
    return {r["key"]: r for r in records_of(Path(path).read_text()) if r.get("type") in ("trial", "clean")}


def faults_of(value: dict[str, Any]) -> Iterator[Fault]:
    for folder, decoy in ((value["mutants"], False), (value["decoys"], True)):
        for path in patches(folder, value["only"]):
            try:
                yield read_fault(path, decoy)
            except Unusable as e:
                unusable(path, e, "")


def unusable(path: Path, why: Unusable, build_id: str) -> None:
    made = {"type": "unusable", "mutant": path.stem, "report": str(why)[:2000]}
    say(made | {"key": f"{build_id}:unusable:{path.stem}"})


def prepare(value: dict[str, Any]) -> Asked:
    """Builds the sources as they are. Raises Unusable."""
    asked = Asked(
        [Detector(**{**d, "words": tuple(d["words"])}) for d in value["detectors"]],
        value["subjects"],
        value["seeds"],
        value["jobs"],
        Ground(value["judge"]),
        Programs(NATIVE / "build" / "planted"),
        read_kept(value["keep"]),
    )
    for variant in dict.fromkeys(d.variant for d in asked.detectors):
        asked.builds[variant] = make_build(variant, {HARNESS}, asked.jobs)
    list_scenarios(asked)
    find_void(asked)
    return asked


def main() -> int:
    value = json.load(sys.stdin)
    faults = list(faults_of(value))
    if not faults:
        print("try_mutants.py: no such mutant", file=sys.stderr)
        return 2
    try:
        asked = prepare(value)
    except Unusable as e:
        print(f"try_mutants.py: {e}", file=sys.stderr)
        return 2
    say(plan(faults, asked))

    def one(turn: Round, fault: Fault) -> None:
        try:
            try_fault(fault, turn, asked)
        except Unusable as e:
            unusable(fault.path, e, asked.build_id)

    for turn in rounds(faults, asked):
        with ThreadPoolExecutor(asked.jobs) as pool:
            list(pool.map(one, [turn] * len(turn.faults), turn.faults))
    say({"type": "whole", "build": asked.build_id})
    return 0


if __name__ == "__main__":
    sys.exit(main())
