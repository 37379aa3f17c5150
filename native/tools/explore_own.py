#!/usr/bin/env python3
"""Explores C code of one's own: builds the explorer over scenario files from anywhere, runs each scenario, replays what it finds.

    explore_own.py PATH… [--seconds S] [--seed X]     PATH: a scenario_*.c, or a folder that holds some
    explore_own.py PATH… --replay TOKEN               the run of a token, a column per thread

Exit status 0: nothing was found; 1: something was, and comes again from its token; 2: wrong usage, or something does not compile or cannot
be run: what does is explored all the same.
How to write a scenario: docs/native/own_code.md. Needs cmake and gcc, and nothing of Python beyond its own library.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NATIVE = Path(__file__).resolve().parent.parent
#: Of ours, what decides how a run goes.
DECIDES = ("include", "explore", "kernel")
GRACE_S = 60


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="explore scenarios of one's own")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each scenario (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the first execution (default: 1)")
    parser.add_argument("--replay", metavar="TOKEN", help="one run that a violation named")
    asked = parser.parse_args(arguments)
    status = 0
    try:
        scenarios = scenarios_of(asked.paths)
        try:
            program = build(scenarios)
        except BuildFailed as e:
            rest = [scenario for scenario in scenarios if scenario not in e.files]
            if not rest or rest == scenarios:
                raise
            print(f"explore_own.py: {e}", file=sys.stderr, flush=True)
            program, status = build(rest), 2
    except BuildFailed as e:
        print(f"explore_own.py: {e}", file=sys.stderr)
        return 2
    if asked.replay:
        return subprocess.run([program, "replay", asked.replay], check=False).returncode
    said = subprocess.run([program, "list", "--json"], capture_output=True, text=True, check=True)
    names = [bench["name"] for bench in json.loads(said.stdout)["benches"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        print(
            f"explore_own.py: two scenarios are named {name}, and only one of them is explored",
            file=sys.stderr,
        )
        status = 2
    done = [explore(program, name, asked.seconds, asked.seed) for name in dict.fromkeys(names)]
    return max([status, *done])


class BuildFailed(Exception):
    """Why there is no program; ``str`` is for a person. ``files``: the scenarios that do not compile, where it is that."""

    def __init__(self, why: str, files: Sequence[Path] = ()) -> None:
        super().__init__(why)
        self.files = list(files)


def scenarios_of(paths: Sequence[Path]) -> list[Path]:
    """Absolute paths of scenario files. Raises BuildFailed where there are none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.resolve().glob("scenario_*.c"))
        elif path.is_file():
            found.append(path.resolve())
        else:
            raise BuildFailed(f"{path} is not there")
    if not found:
        raise BuildFailed(f"no scenario_*.c in {', '.join(map(str, paths))}")
    return found


def build(scenarios: Sequence[Path]) -> Path:
    """The program over these files, in a folder of its own below native/build. Raises BuildFailed."""
    digest = digest_of(scenarios)
    name = hashlib.sha256("\n".join(map(str, scenarios)).encode()).hexdigest()[:12]
    folder = NATIVE / "build" / f"own-{name}"
    listed = ";".join(map(str, scenarios))
    configure: list[str | Path] = ["cmake", "-S", NATIVE, "-B", folder, f"-DORCH_SCENARIOS={listed}"]
    configure += [
        "-DORCH_VARIANT=explore",
        "-DORCH_TESTS=OFF",
        "-DORCH_WERROR=OFF",
        f"-DORCH_BUILD_ID={digest}",
    ]
    make: list[str | Path] = ["cmake", "--build", folder, "--parallel", str(os.cpu_count() or 1), "--target"]
    run(configure)
    # theirs first, each by itself: what is wrong is most likely there
    failed = {}
    for scenario in scenarios:
        try:
            run([*make, scenario.stem])
        except BuildFailed as e:
            failed[scenario] = str(e)
    if failed:
        raise BuildFailed("\n".join(f"{path.name}: {why}" for path, why in failed.items()), list(failed))
    run([*make, "orch-harness"])
    return folder / "orch-harness-explore"


def run(command: Sequence[str | Path]) -> None:
    """Raises BuildFailed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as e:
        raise BuildFailed(f"{command[0]} cannot be run: {e}; install cmake and gcc") from e
    if done.returncode != 0:
        raise BuildFailed(f"it does not compile:\n{errors_of(done.stdout + done.stderr)}")


def digest_of(scenarios: Sequence[Path]) -> str:
    """Of the explorer and of everything that lies beside the scenarios: a token is good for that and for nothing else."""
    ours = [path for folder in DECIDES for path in (NATIVE / folder).glob("*.[ch]")]
    theirs = [path for folder in {s.parent for s in scenarios} for path in folder.glob("*.[ch]")]
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted({*ours, *theirs, *scenarios})]
    return hashlib.sha256("".join(sums).encode()).hexdigest()[:16]


def errors_of(said: str) -> str:
    """The lines that say what is wrong, or the last ones."""
    lines = [line for line in said.splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line or "undefined reference" in line]
    return "\n".join((wrong or lines)[:12])


def explore(program: Path, scenario: str, seconds: float, seed: int) -> int:
    """Runs one scenario and says what came of it in lines. 0, 1, or 2 where the explorer itself could not."""
    command: list[str | Path] = [program, "run", scenario, "--seconds", str(seconds), "--seed", str(seed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        print(
            f"{scenario}: the explorer came to no end, {GRACE_S} s after its time was over", file=sys.stderr
        )
        return 2
    records = [json.loads(line) for line in done.stdout.splitlines()]
    counted = {r["name"]: r["value"] for r in records if r["type"] == "counter"}
    violations = [r for r in records if r["type"] == "violation"]
    if not violations:
        if done.returncode != 0:
            print(f"{scenario}: {done.stderr.strip()}", file=sys.stderr)
            return 2
        executions = counted.get("executions", 0)
        if not executions:
            print(
                f"{scenario}: no execution came to its end in {seconds:g} s: nothing is known of it",
                file=sys.stderr,
            )
            return 2
        bound = f", so at 99% confidence fewer than {4.61 / executions:.2g} of them do"
        print(f"{scenario}: nothing found in {executions:,.0f} executions{bound}")
        return 0
    for violation in violations:
        show(scenario, violation)
    return 1


def show(scenario: str, violation: dict[str, Any]) -> None:
    """A violation: what, the steps that lead to it, and how it comes again."""
    print(f"{scenario}: {violation['evidence']} (execution {violation.get('executions', '?')})")
    for line in violation.get("trace", []):
        print(f"    {line}")
    print(f"    again: --replay {violation['token']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
