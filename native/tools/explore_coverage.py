#!/usr/bin/env python3
"""Branch coverage of the kernel's sources by each scenario of the explorer.

    explore_coverage.py [--only SCENARIO ...] [--runs N] [--missing] [--json]

One line per scenario and source: branches taken, branches there are, and the share; --missing adds the lines of those never taken.
A branch is one way on from a condition, as the compiler without optimisation sees it, in the kernel's sources that the scenario
includes. --json prints one list of `{"scenario", "source", "taken", "branches", "missing": [line, ...]}`.
Exit status 0; 2 for an unknown scenario, sources that do not build, or a scenario that finds something.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NATIVE = Path(__file__).resolve().parent.parent
EXPLORE = NATIVE / "explore"
FLAGS = [
    "-std=c17",
    "-D_GNU_SOURCE",
    "-O0",
    "-g1",
    '-DORCH_ATOMICS_BACKEND="atomics_explore.h"',
    '-DORCH_VARIANT="coverage"',
]
FLAGS += [f"-I{NATIVE / folder}" for folder in ("include", "explore", "baseline")]
NAME = re.compile(r'^\s*\{"(\w+)", \d', re.MULTILINE)
AGAIN = re.compile(r'\},\s*\{"(\w+)", \d')


class Unusable(Exception):
    """Sources that do not build, or a scenario that is unknown or finds something."""


def run(command: list[str], folder: Path, failure: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode != 0:
        raise Unusable(f"{failure}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def scenarios_of(path: Path) -> list[str]:
    """The names in the table at the end of a file of scenarios."""
    text = path.read_text()
    table = text[text.index("scenarios[] = {") :]
    return [*NAME.findall(table), *AGAIN.findall(table)]


def build(path: Path, engine: list[str], folder: Path) -> Path:
    """The test program of one file of scenarios, which alone is counted; the rest as it is."""
    run(
        ["gcc", *FLAGS, "--coverage", "-c", str(path), "-o", "scenario.o"],
        folder,
        f"{path.name} does not build",
    )
    rest = [
        str(source)
        for source in sorted((NATIVE / "kernel").glob("*.c"))
        if not source.name.startswith("test_")
    ]
    archive = folder.parent / "kernel.a"
    if not archive.exists():
        for source in rest:
            flags = [flag for flag in FLAGS if "BACKEND" not in flag]
            flags += [f"-m{name}" for name in ("avx2",) if name in source]
            flags += ["-mavx512f", "-mavx512vl", "-mavx512dq"] if "avx512" in source else []
            out = str(folder.parent / f"{Path(source).stem}.kernel.o")
            run(["gcc", *flags, "-c", source, "-o", out], folder, f"{source} does not build")
        objects = [str(made) for made in sorted(folder.parent.glob("*.kernel.o"))]
        run(["ar", "crs", str(archive), *objects], folder, "no archive")
    program = folder / "program"
    command = [
        "gcc",
        "--coverage",
        "scenario.o",
        *engine,
        str(archive),
        "-lpthread",
        "-lm",
        "-o",
        str(program),
    ]
    run(command, folder, f"{path.name} does not link")
    return program


def build_engine(folder: Path) -> list[str]:
    made = []
    for source in [*sorted(EXPLORE.glob("explore_*.c")), EXPLORE / "test_scenarios.c"]:
        out = folder / f"{source.stem}.engine.o"
        run(
            ["gcc", *FLAGS, "-O2", "-c", str(source), "-o", str(out)], folder, f"{source.name} does not build"
        )
        made.append(str(out))
    return made


def measure(program: Path, scenario: str, runs: int) -> Iterator[dict[str, Any]]:
    """What one scenario takes, per source of the kernel."""
    folder = program.parent
    for old in folder.glob("*.gcda"):
        old.unlink()
    run([str(program), str(runs), "1", scenario], folder, f"{scenario} finds something")
    report = json.loads(
        run(["gcov", "--json-format", "--stdout", "--branch-probabilities", "scenario.o"], folder, "gcov")
    )
    for source in report["files"]:
        name = source["file"]
        if "/kernel/" not in name:
            continue
        branches = [
            (line["line_number"], branch["count"]) for line in source["lines"] for branch in line["branches"]
        ]
        missing = sorted({number for number, count in branches if count == 0})
        taken = sum(count > 0 for _, count in branches)
        if branches:
            yield {
                "scenario": scenario,
                "source": Path(name).name,
                "taken": taken,
                "branches": len(branches),
                "missing": missing,
            }


def measure_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    paths = {name: path for path in sorted(EXPLORE.glob("scenario_*.c")) for name in scenarios_of(path)}
    unknown = [name for name in options.only if name not in paths]
    if unknown:
        raise Unusable(f"there is no scenario '{unknown[0]}'; there are {', '.join(paths)}")
    wanted = options.only or list(paths)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="orch-coverage-") as top:
        engine = build_engine(Path(top))
        programs: dict[Path, Path] = {}
        for scenario in wanted:
            path = paths[scenario]
            if path not in programs:
                folder = Path(top) / path.stem
                folder.mkdir()
                programs[path] = build(path, engine, folder)
            for row in measure(programs[path], scenario, options.runs):
                rows.append(row)
                if not options.json:
                    missing = f"  never: {row['missing']}" if options.missing else ""
                    share = 100 * row["taken"] / row["branches"]
                    shown = f"{row['taken']:5} of {row['branches']:5} {share:4.0f} %"
                    print(f"{scenario:24} {row['source']:28} {shown}{missing}", flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description="branch coverage of the kernel by each scenario of the explorer"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="SCENARIO")
    parser.add_argument("--runs", type=int, default=2000, help="executions of each scenario")
    parser.add_argument(
        "--missing", action="store_true", help="name the lines whose branches were never taken"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        rows = measure_all(options)
    except Unusable as error:
        print(f"explore_coverage.py: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
