#!/usr/bin/env python3
"""Plants each known fault of native/mutants/*.patch in a copy of the sources, and expects the tests to find it.

    check_mutants.py [--only NAME ...] [--quick] [--stress] [--seconds S] [--threads N] [--attempts N] [--jobs N]
                     [--mutants FOLDER] [--decoys] [--json]

A patch begins with lines that say what it is; the rest up to the first `---` is prose:

    Breaks: C1                               the contract
    Kind: weak-memory, three-threads         what it takes to see it; of KINDS
    Test: test_deque [words]                 a test program that must fail; one more such line is tried after it
    Bench: deque_churn [words]               a bench of orch-harness that must report a violation
    Variant: asan                            the build that they come from; default: release

Without Test and Bench, a fault in the capability table or in reclamation is looked for by test_explore_table and then by test_stress,
and any other by the test that has the name of the source. `{seconds}`, `{threads}` and `{seed}` among the words are filled in.

First the detectors must pass over the sources as they are: one that reports correct code proves nothing. Then for every patch: copy,
apply, compile what it changes with the commands of the build, link with the other objects of the build, and run the detectors until
one fails, each up to N times where it has a seed. --decoys: those of native/mutants/decoys instead, which are right though they look
wrong, and say with `Decoy: …` why; there every detector runs, and none may fail. --quick takes one patch per contract, --stress test_stress alone. One line per
mutant: its name, the contract, and `killed` with the detector, the seconds and the first line of its report, or `SURVIVED`.
Exit status 0 if all were killed, or no decoy was, 1 if not, 2 for wrong usage, a patch that does not apply or build, or a detector that is void.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

NATIVE = Path(__file__).resolve().parent.parent
#: Words of the tests that look for a fault of no named test.
WORDS = {"test_explore_table": "20000", "test_stress": "{seconds} {threads} {seed} kernel"}
BENCH = "run {name} --seconds 1 --warmup 0 --interval 0 --seed {seed}"
HARNESS = "orch-harness"
#: Seconds after which a program hangs. The explorer finds those that do by itself, and counts runs, not seconds. Where a detector took
#: long over the sources as they are, since the machine is busy, it has so many times as long.
PATIENCE = {True: 300, False: 30}
PATIENCE_CLEAN, TIMES = 900, 8
HEADER = re.compile(r"^(Breaks|Decoy|Kind|Test|Bench|Variant):\s*(\S.*?)\s*$")
#: What a planted fault may be of: visible under weak memory alone; a wakeup lost, or no end; something that came back unrecognised, or a
#: count at its end; a leak or double free; a wrong answer and nothing else; not to be seen with two threads.
KINDS = {"weak-memory", "lost-wakeup", "aba", "leak", "wrong-result", "three-threads"}
CHANGED = re.compile(r"^\+\+\+ b/native/(\S+)", re.MULTILINE)


class Unusable(Exception):
    """A patch that does not apply, sources that do not build, or a clean run that fails."""


@dataclass(frozen=True)
class Detector:
    """A program of one build, and its words with their placeholders."""

    variant: str
    target: str
    words: str
    name: str


@dataclass
class Mutant:
    """One patch: what it breaks, which sources it changes, and who must find it."""

    path: Path
    breaks: str  # the contract; of a decoy why it breaks none
    kinds: list[str]
    changed: list[str]
    detectors: list[Detector]


@dataclass
class Verdict:
    """What became of one mutant. `seconds` is the time until it was killed, or of all runs."""

    name: str
    breaks: str
    kinds: list[str]
    killed: bool
    #: the test or the bench, "" where it survived
    detector: str
    seconds: float
    report: str


@dataclass
class Build:
    """One build of the sources as they are: what each object comes from, and how."""

    folder: Path
    #: object, relative to the folder → its command
    commands: dict[str, list[str]] = field(default_factory=dict)
    #: object → the sources that it was made from, relative to native/
    made_from: dict[str, set[str]] = field(default_factory=dict)

    def objects(self, target: str) -> list[str]:
        return [name for name in self.commands if name.startswith(f"CMakeFiles/{target}.dir/")]


def run(command: list[str], folder: Path, failure: str) -> None:
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unusable(f"{failure}: {(done.stderr or done.stdout).strip()}")


# --- what there is --------------------------------------------------------------------------------------


def read_patch(path: Path, targets: set[str]) -> Mutant:
    """One patch; `targets` are the tests that there are."""
    text = path.read_text()
    said: dict[str, list[str]] = {}
    for line in text.split("\n---", 1)[0].splitlines():
        found = HEADER.match(line)
        if found:
            said.setdefault(found.group(1), []).append(found.group(2))
    breaks = said.get("Breaks", said.get("Decoy"))
    if breaks is None:
        raise Unusable(f"{path.name} does not say what it breaks")
    kinds = [kind.strip() for line in said.get("Kind", []) for kind in line.split(",")]
    if not KINDS.issuperset(kinds):
        raise Unusable(f"{path.name} is of a kind that is none: there are {', '.join(sorted(KINDS))}")
    variant = said.get("Variant", ["release"])[0]
    changed = CHANGED.findall(text)
    tests = said.get("Test", [])
    if not tests and "Bench" not in said:
        tests = usual_tests(path, changed, targets)
    detectors = []
    for test in tests:
        name, _, words = test.partition(" ")
        if name not in targets:
            raise Unusable(f"{path.name} names {name}, and there is no such test")
        detectors.append(Detector(variant, name, words or WORDS.get(name, ""), name))
    for bench in said.get("Bench", []):
        name, _, words = bench.partition(" ")
        detectors.append(Detector(variant, HARNESS, f"{BENCH.replace('{name}', name)} {words}", name))
    return Mutant(path, breaks[0], kinds, changed, detectors)


def usual_tests(path: Path, changed: list[str], targets: set[str]) -> list[str]:
    stems = [Path(name).stem for name in changed]
    if all(stem.startswith(("capability", "reclaim")) for stem in stems):
        return list(WORDS)
    tests = [f"test_{stem}" for stem in stems if f"test_{stem}" in targets]
    if not tests:
        raise Unusable(
            f"{path.name} names no test, and none has the name of its source: add a line `Test: test_…`"
        )
    return tests


def test_programs() -> set[str]:
    """The names that the build gives to the tests."""
    names: set[str] = set()
    for folder in ("test", "kernel", "explore"):
        for path in sorted((NATIVE / folder).glob("test_*.c")):
            names.add(path.stem if path.stem not in names else f"{path.stem}_of_system")
    for path in (NATIVE / "explore").glob("scenario_*.c"):
        names.add(path.stem.replace("scenario_", "test_explore_"))
    return names


@functools.cache
def _real(path: Path) -> str:
    """A variant may name its sources through a link in its folder."""
    return os.path.realpath(path)


def make_build(variant: str, targets: set[str], jobs: int) -> Build:
    """Builds the targets from the sources as they are."""
    command = ["cmake", "--build", "--preset", variant, "--parallel", str(jobs), "--target", *sorted(targets)]
    (NATIVE / "build").mkdir(exist_ok=True)
    with (NATIVE / "build" / f".{variant}.lock").open(
        "w"
    ) as lock:  # as the tests take it: one builds there at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(["cmake", "--preset", variant], NATIVE, f"{variant} is not configured")
        run(command, NATIVE, f"{variant} does not build")
    build = Build(NATIVE / "build" / variant)
    for entry in json.loads((build.folder / "compile_commands.json").read_text()):
        words = [word for word in shlex.split(entry["command"]) if not word.startswith("-Werror")]
        name = words[words.index("-o") + 1]
        build.commands[name] = words
        dependencies = build.folder / f"{name}.d"
        if dependencies.is_file():
            listed = dependencies.read_text().replace("\\\n", " ").split(":", 1)[1].split()
            paths = [_real(build.folder / word) for word in listed]
            prefix = f"{NATIVE}/"
            build.made_from[name] = {path.removeprefix(prefix) for path in paths if path.startswith(prefix)}
    return build


# --- one mutant -----------------------------------------------------------------------------------------


def plant(mutant: Mutant, folder: Path) -> Path:
    """A copy of the sources below `folder` with the patch applied."""
    sources = folder / "native"
    shutil.copytree(NATIVE, sources, ignore=shutil.ignore_patterns("build", "mutants", "__pycache__"))
    command = ["git", "apply", "-p1", str(mutant.path.resolve())]
    run(command, folder, f"{mutant.path.name} does not apply")
    return sources


def compile_changed(build: Build, names: Iterable[str], changed: set[str], sources: Path) -> dict[str, Path]:
    """Those of the objects that a change reaches, made anew; where each is."""
    made: dict[str, Path] = {}
    for name in names:
        if not build.made_from.get(name, set()) & changed:
            continue
        out = sources.parent / name
        out.parent.mkdir(parents=True, exist_ok=True)
        words = [
            word.replace(f"{NATIVE}/", f"{sources}/") if "build/" not in word else word
            for word in build.commands[name]
        ]
        words[words.index("-o") + 1] = str(out)
        run(words, build.folder, "does not build")
        made[name] = out
    return made


def link(build: Build, target: str, changed: set[str], sources: Path) -> Path:
    """The program of a target with the fault in it: by the build's own link command, with our objects in place of its."""
    library = build.objects("orchkernel")
    made = compile_changed(build, [*library, *build.objects(target)], changed, sources)
    if not made:
        raise Unusable(f"nothing in {target} ({build.folder.name}) is made from {', '.join(sorted(changed))}")
    archive = sources.parent / "liborchkernel.a"
    if not archive.exists():
        run(
            ["ar", "crs", str(archive), *(str(made.get(name, name)) for name in library)],
            build.folder,
            "no archive",
        )
    program = sources.parent / target
    words = shlex.split((build.folder / "CMakeFiles" / f"{target}.dir" / "link.txt").read_text())
    words = [
        str(made[word]) if word in made else str(archive) if word == archive.name else word for word in words
    ]
    words[words.index("-o") + 1] = str(program)
    run(words, build.folder, "does not link")
    return program


def run_once(
    program: Path, detector: Detector, options: argparse.Namespace, seed: int, patience: float
) -> tuple[bool, str]:
    """Whether one run passed, and the first thing that it reported otherwise."""
    words = detector.words.format(seconds=options.seconds, threads=options.threads, seed=seed)
    environment = {**os.environ, "ORCH_STRESS_STALL": "3"}
    try:
        done = subprocess.run(
            [str(program), *shlex.split(words)],
            capture_output=True,
            text=True,
            timeout=options.seconds + patience,
            check=False,
            env=environment,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return False, "hangs"
    if done.returncode == 2:
        raise Unusable(f"{detector.name}: {done.stderr.strip()}")
    if done.returncode == 0:
        return True, ""
    violations = [line for line in done.stdout.splitlines() if line.startswith('{"type":"violation"')]
    lines = [*violations, *done.stderr.strip().splitlines()]
    return False, lines[0] if lines else f"exit status {done.returncode}"


def judge(
    mutant: Mutant,
    builds: dict[str, Build],
    options: argparse.Namespace,
    patience: dict[Detector, float],
) -> Verdict:
    """Plants one fault and lets its detectors look for it."""
    with tempfile.TemporaryDirectory(prefix="orch-mutant-") as folder:
        sources = plant(mutant, Path(folder))
        spent = 0.0
        for detector in mutant.detectors:
            program = link(builds[detector.variant], detector.target, set(mutant.changed), sources)
            started = time.monotonic()
            for attempt in range(options.attempts):
                passed, report = run_once(program, detector, options, attempt + 1, patience[detector])
                if not passed:
                    spent += time.monotonic() - started
                    return Verdict(
                        mutant.path.stem,
                        mutant.breaks,
                        mutant.kinds,
                        True,
                        detector.name,
                        round(spent, 2),
                        report,
                    )
            spent += time.monotonic() - started
        return Verdict(mutant.path.stem, mutant.breaks, mutant.kinds, False, "", round(spent, 2), "")


# --- all of them ----------------------------------------------------------------------------------------


def check_clean(
    builds: dict[str, Build], detectors: set[Detector], options: argparse.Namespace
) -> dict[Detector, float]:
    """Every detector passes over the sources as they are, for as long as a mutant gets per attempt. The patience with each, in seconds."""

    def passes(detector: Detector) -> float:
        program = builds[detector.variant].folder / program_name(detector)
        started = time.monotonic()
        passed, report = run_once(program, detector, options, 1, PATIENCE_CLEAN)
        if not passed:
            raise Unusable(f"{detector.name} reports the sources as they are: {report}")
        took = time.monotonic() - started
        return max(PATIENCE[detector.target.startswith("test_explore_")], TIMES * took)

    in_order = sorted(detectors, key=lambda d: (d.name, d.words))
    with ThreadPoolExecutor(options.jobs) as pool:
        return dict(zip(in_order, pool.map(passes, in_order), strict=True))


def program_name(detector: Detector) -> str:
    suffix = (
        ""
        if detector.variant in {"release", "clang"} or detector.target != HARNESS
        else f"-{detector.variant}"
    )
    return detector.target + suffix


def select(options: argparse.Namespace) -> list[Mutant]:
    """The patches that were asked for."""
    targets = test_programs()
    folder = options.mutants / "decoys" if options.decoys else options.mutants
    paths = sorted(folder.glob("*.patch"))
    mutants = [read_patch(path, targets) for path in paths if not options.only or path.stem in options.only]
    if options.quick:
        mutants = list({mutant.breaks: mutant for mutant in reversed(mutants)}.values())
    for mutant in mutants:
        if options.stress:
            mutant.detectors = [d for d in mutant.detectors if d.name == "test_stress"]
    return mutants


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="plants known faults and expects the tests to find them")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one attempt")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument(
        "--attempts", type=int, default=4, help="runs of a detector before a mutant counts as survived"
    )
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="mutants at a time")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these mutants alone")
    parser.add_argument(
        "--mutants", type=Path, default=NATIVE / "mutants", metavar="FOLDER", help="where the patches are"
    )
    parser.add_argument(
        "--decoys", action="store_true", help="what looks wrong and is right: none may be killed"
    )
    parser.add_argument("--quick", action="store_true", help="one mutant per contract")
    parser.add_argument("--stress", action="store_true", help="the stress test alone")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def judge_all(options: argparse.Namespace) -> list[Verdict]:
    """Builds, proves the detectors, and judges."""
    mutants = select(options)
    if not mutants:
        raise Unusable("no such mutant")
    detectors = {detector for mutant in mutants for detector in mutant.detectors}
    builds = {
        variant: make_build(variant, {d.target for d in detectors if d.variant == variant}, options.jobs)
        for variant in sorted({d.variant for d in detectors})
    }
    patience = check_clean(builds, detectors, options)
    verdicts = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(lambda mutant: judge(mutant, builds, options, patience), mutants):
            verdicts.append(verdict)
            what = "right" if options.decoys else f"breaks {verdict.breaks}"
            fate = (
                f"killed by {verdict.detector} in {verdict.seconds} s: {verdict.report}"
                if verdict.killed
                else "SURVIVED"
            )
            if not options.json:
                print(f"{verdict.name} ({what}): {fate}", flush=True)
    return verdicts


def main() -> int:
    """Judges every mutant and prints the verdicts."""
    options = read_options()
    try:
        verdicts = judge_all(options)
    except Unusable as error:
        print(f"check_mutants.py: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts]))
    else:
        print(f"{sum(v.killed for v in verdicts)} of {len(verdicts)} killed", flush=True)
    return 0 if all(verdict.killed != options.decoys for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
