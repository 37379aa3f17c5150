#!/usr/bin/env python3
"""Plants each known fault of native/mutants/*.patch in a copy of the sources, and expects the tests to find it.

    check_mutants.py [--seconds S] [--threads N] [--attempts N] [--only NAME] [--stress] [--json]

First the sources as they are must pass: a detector that reports the correct table proves nothing. Then for every patch: copy,
apply (git apply -p1), build with $CC (default cc), run test_schedules, and if that passes test_stress with up to N seeds until one run
fails. The schedules come from seeds, so what they find does not depend on how busy the machine is; the stress test runs on its real
CPUs. One line per mutant: its name, the contract that its first line says it breaks (`Breaks: C1`), `killed` with the
detector, the seconds and the first line of the report, or `SURVIVED`. Exit status 0 if all were killed, 1 if not, 2 for wrong usage or a patch that does not apply or build.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

NATIVE = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c17", "-D_GNU_SOURCE=", "-O2", "-Iinclude", "-Ibaseline", "-Itest"]


@dataclass
class Verdict:
    """What became of one mutant. `seconds` is the time until it was killed, or of all runs."""

    name: str
    breaks: str
    killed: bool
    #: test_schedules | test_stress, "" where it survived
    detector: str
    seconds: float
    report: str


class Unusable(Exception):
    """A patch that does not apply, sources that do not build, or a clean run that fails."""


def build(sources: Path, test: str) -> Path:
    """Builds a test in a copy of the sources; the program's path."""
    program = sources / test
    # test_schedules includes the sources that it looks into
    inputs = [sources / "kernel" / "atomics.c", sources / "kernel" / "status.c"]
    if test != "test_schedules":
        inputs = [
            path for folder in ("kernel", "baseline") for path in sorted((sources / folder).glob("*.c"))
        ]
    command = [
        os.environ.get("CC", "cc"),
        *FLAGS,
        *(str(path) for path in inputs if not path.name.startswith("test_")),
        f"test/{test}.c",
        "-o",
        str(program),
        "-pthread",
    ]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unusable(f"does not build:\n{done.stderr}")
    return program


def copy_of(folder: Path) -> Path:
    """The sources that the stress test needs, copied below `folder`."""
    sources = folder / "native"
    for name in ("include", "kernel", "baseline", "test"):
        shutil.copytree(NATIVE / name, sources / name)
    return sources


def apply(patch: Path, sources: Path) -> None:
    """Applies one patch; its paths start with a/native/."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(sources.parent.parent)}
    done = subprocess.run(
        ["git", "apply", "-p1", str(patch)],
        cwd=sources.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Unusable(f"{patch.name} does not apply: {done.stderr.strip()}")


def explore(program: Path, seconds: float) -> tuple[bool, str]:
    """Whether the schedules from seed 1 on passed for that long, and the first line reported otherwise."""
    return run_one([str(program), str(seconds), "1"], seconds)


def stress(program: Path, seconds: float, threads: int, seed: int) -> tuple[bool, str]:
    """Whether one run of the stress test passed, and the first line it reported otherwise."""
    return run_one([str(program), str(seconds), str(threads), str(seed), "lockfree"], seconds)


def run_one(command: list[str], seconds: float) -> tuple[bool, str]:
    environment = {**os.environ, "ORCH_STRESS_STALL": "3"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 20, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return False, "hangs"
    if done.returncode == 2:
        raise Unusable(done.stderr.strip())
    lines = done.stderr.strip().splitlines()
    return done.returncode == 0, lines[0] if lines else f"exit status {done.returncode}"


def judge(patch: Path, options: argparse.Namespace) -> Verdict:
    """Plants one fault and lets the stress test look for it."""
    first = patch.read_text().split("\n", 1)[0]
    breaks = first.removeprefix("Breaks:").strip()
    with tempfile.TemporaryDirectory(prefix="orch-mutant-") as folder:
        sources = copy_of(Path(folder))
        apply(patch, sources)
        schedules, stressing = build(sources, "test_schedules"), build(sources, "test_stress")
        started = time.monotonic()

        def spent() -> float:
            return round(time.monotonic() - started, 2)

        passed, report = (True, "") if options.stress else explore(schedules, options.seconds)
        if not passed:
            return Verdict(patch.stem, breaks, True, "test_schedules", spent(), report)
        for attempt in range(options.attempts):
            passed, report = stress(stressing, options.seconds, options.threads, attempt + 1)
            if not passed:
                return Verdict(patch.stem, breaks, True, "test_stress", spent(), report)
        return Verdict(patch.stem, breaks, False, "", spent(), "")


def check_clean(options: argparse.Namespace) -> None:
    """The sources as they are pass for as long as a mutant gets per attempt."""
    with tempfile.TemporaryDirectory(prefix="orch-mutant-") as folder:
        sources = copy_of(Path(folder))
        passed, report = explore(build(sources, "test_schedules"), options.seconds)
        if passed:
            passed, report = stress(build(sources, "test_stress"), options.seconds, options.threads, 1)
        if not passed:
            raise Unusable(f"a test reports the sources as they are: {report}")


def main() -> int:
    """Judges every mutant and prints the verdicts."""
    parser = argparse.ArgumentParser(description="plants known faults and expects the tests to find them")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one attempt")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument(
        "--attempts", type=int, default=4, help="seeds to try before a mutant counts as survived"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these mutants alone")
    parser.add_argument("--stress", action="store_true", help="the stress test alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    patches = [
        patch
        for patch in sorted((NATIVE / "mutants").glob("*.patch"))
        if not options.only or patch.stem in options.only
    ]
    if not patches:
        print("check_mutants.py: no such mutant", file=sys.stderr)
        return 2
    verdicts = []
    try:
        check_clean(options)
        for patch in patches:
            verdict = judge(patch, options)
            verdicts.append(verdict)
            fate = (
                f"killed by {verdict.detector} in {verdict.seconds} s: {verdict.report}"
                if verdict.killed
                else "SURVIVED"
            )
            if not options.json:
                print(f"{verdict.name} (breaks {verdict.breaks}): {fate}", flush=True)
    except Unusable as error:
        print(f"check_mutants.py: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts]))
    return 0 if all(verdict.killed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
