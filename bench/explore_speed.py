"""Executions of the explorer per second, by wall clock and by the processor's time, beside a loop of the harness that always costs the same.

    .venv/bin/python bench/explore_speed.py [SCENARIO] [SECONDS] [ROUNDS] [STRATEGY ...]

Each round runs that loop (`harness_floor`, which draws numbers) and then the scenario by each strategy, on one CPU. A machine that is shared
is quicker at one time than at another; so the last column has the median again as it would be at the quickest loop of all rounds: each round's rate
times its loop's ns over that one's, both by the processor's time. Prints medians, and least and most of the rounds; and steps per execution.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.bundle.build import build

ROOT = Path(__file__).resolve().parent.parent
FLOOR_S = "0.5"


def metrics(program: str, *words: str) -> dict[str, float]:
    """Those of the result of one run on the first CPU that there is."""
    cpu = str(min(os.sched_getaffinity(0)))
    command = [program, "run", *words, "--threads", "1", "--cpus", cpu]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {m["metric"]: m["value"] for m in json.loads(said.splitlines()[-1])["metrics"]}


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def loop_ns(program: str) -> float:
    """Of one turn of the loop, by the processor's time."""
    before = processor_seconds()
    made = metrics(program, "harness_floor", "--seconds", FLOOR_S, "--warmup", "0")
    return (processor_seconds() - before) * 1e9 / (made["ops_per_second"] * float(FLOOR_S))


def in_words(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):.4g} ({min(rates):.4g} … {max(rates):.4g})"


def main() -> int:
    given = sys.argv[1:]
    scenario, seconds, rounds = [*given[:3], *["deque_short", "3", "5"][len(given) :]]
    strategies = given[3:] or ["rotate", "random", "pct3", "pos", "exhaustive"]
    bundle = build(ROOT / "native", ("release", "explore"))
    floors: list[float] = []
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in strategies}
    for turn in range(int(rounds)):
        floors.append(loop_ns(bundle.variant("release").file))
        for name in strategies:
            words = ["--seconds", seconds, "--seed", str(1 + turn * 10**9), "--set", f"strategy={name}"]
            rates[name].append(metrics(bundle.variant("explore").file, scenario, *words))
    print(f"the loop: {in_words(floors)} ns")
    for name, made in rates.items():
        wall = [m["ops_per_second"] for m in made]
        used = [m["executions_per_core_second"] for m in made]
        quick = [rate * floor / min(floors) for rate, floor in zip(used, floors, strict=True)]
        steps = statistics.median(m["steps_per_execution"] for m in made)
        print(
            f"{scenario} {name}: {in_words(used)} executions per second of processor time, {in_words(wall)} by wall clock; "
            f"{statistics.median(quick):.4g} at the quickest loop; {steps:.1f} steps each"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
