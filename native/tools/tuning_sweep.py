#!/usr/bin/env python3
"""Finds the best fixed settings of every workload of the bench tuned_mix, and holds the loop against them.

    tuning_sweep.py HARNESS [--mode quick|full|smoke] [--ids N] [--threads N] [--json FILE] [--note TEXT]

Every launch of the bench measures three ways of choosing settings in turns within one process: the original's, fixed ones and the
loop's. So only ratios from one launch are compared. A grid of fixed settings is measured per workload as a ratio to the original's;
the best is measured again beside the loop, several times. The best single setting for the mix is, for each class of knobs, the point with
the least sum over the workloads of the class; as the classes share no knob, that is the best of the whole grid.

Prints a table, and with --json an object with all figures. full: under 15 minutes; quick: under 3, for a look; smoke: seconds, to see
that it works. Exit status 0 when all was measured, whatever came of it; 1 when a launch failed; 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

Point = tuple[tuple[str, str], ...]  # settings of the fixed contender, name and value

NEVER = str(2**32 - 1)
CLASSES: dict[str, tuple[str, ...]] = {
    "checks": ("hot", "scattered"),
    "batches": ("far", "near", "small"),
    "tasks": ("steal",),
    "runs": ("service", "compute"),
}
WORKLOADS = [workload for members in CLASSES.values() for workload in members]
PATIENCE_S = 300.0
RETRIES = 4  # of a launch on a machine so busy that a window was too short


class LaunchFailed(Exception):
    """The harness did not give a result, or found a violation."""


@dataclass(frozen=True)
class Mode:
    """How much is measured. Times in seconds, of the whole launch for three contenders."""

    ids: int
    grids: Mapping[str, Sequence[Point]]
    grid: tuple[float, float]  # warm-up and window of a point
    final: tuple[float, float]  # of a launch beside the loop
    launches: int
    mix: float  # window; from a cold start, for finding the settings is part of it
    mix_launches: int
    phase_ms: int


@dataclass
class Interval:
    """The median of launches, and a 95 % bootstrap interval of it; the extremes for fewer than five."""

    median: float
    low: float
    high: float
    launches: int


@dataclass
class Workload:
    """What was found for one workload. Costs are ns per operation, medians over launches."""

    name: str
    best: dict[str, str]
    grid: list[tuple[dict[str, str], float]]  # every point and its cost over the original's
    original_ns: float
    best_ns: float
    tuned_ns: float
    best_over_original: Interval
    tuned_over_original: Interval
    tuned_over_best: Interval


@dataclass
class Report:
    """All of it."""

    mode: str
    ids: int
    load: tuple[float, float, float]
    note: str
    workloads: list[Workload] = field(default_factory=list)
    single: dict[str, str] = field(default_factory=dict)
    mix: dict[str, Interval] = field(default_factory=dict)
    loop_share: float = 0.0  # the largest of any launch beside the loop
    survey_share: float = 0.0  # likewise: time in chunks that tried other settings


def product(**values: Sequence[object]) -> list[Point]:
    """Every combination."""
    points: list[Point] = [()]
    for name, several in values.items():
        points = [(*point, (name, str(value))) for point in points for value in several]
    return points


FULL = Mode(
    ids=1 << 22,
    grids={
        "checks": product(cache=(0, 64, 256, 1024, 4096, 16384)),
        "batches": product(group=(8, 256), simd=(4, 16, NEVER), prefetch=(0, 4, 16, 32)),
        "tasks": product(victim=("nearest", "random", "last"), bundle=(1, 8, 32)),
        "runs": product(quantum_us=(30, 100, 300, 1000, 3000, 10000)),
    },
    grid=(0.2, 0.8),
    final=(2.0, 4.0),
    launches=5,
    mix=45.0,
    mix_launches=3,
    phase_ms=1000,
)
QUICK = Mode(
    ids=1 << 20,
    grids={
        "checks": product(cache=(0, 64, 4096)),
        "batches": product(group=(8, 256), simd=(8,), prefetch=(0, 32)),
        "tasks": product(victim=("random", "last"), bundle=(8, 32)),
        "runs": product(quantum_us=(30, 100, 1000, 3000)),
    },
    grid=(0.1, 0.4),
    final=(1.0, 1.5),
    launches=2,
    mix=25.0,
    mix_launches=1,
    phase_ms=700,
)
SMOKE = Mode(
    ids=1 << 12,
    grids={
        "checks": product(cache=(0,)),
        "batches": product(group=(256,)),
        "tasks": product(victim=("last",)),
        "runs": product(quantum_us=(100,)),
    },
    grid=(0.0, 0.1),
    final=(0.0, 0.1),
    launches=1,
    mix=0.5,
    mix_launches=1,
    phase_ms=1,
)
MODES = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


# --- pure ---------------------------------------------------------------------------------------------------


def interval(values: Sequence[float]) -> Interval:
    """Of the median; the draws are the same each time."""
    if len(values) < 5:
        return Interval(statistics.median(values), min(values), max(values), len(values))
    draw = random.Random(1)  # noqa: S311 - no secret
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return Interval(statistics.median(values), medians[49], medians[1949], len(values))


def best_point(costs: Mapping[Point, float]) -> Point:
    """The cheapest; of equals the first."""
    return min(costs, key=lambda point: costs[point])


def best_single(grids: Mapping[str, Mapping[str, Mapping[Point, float]]]) -> Point:
    """Class → workload → point → cost over the original's; the settings with the least sum, class by class."""
    chosen: Point = ()
    for workloads in grids.values():
        points = list(next(iter(workloads.values())))
        sums = {point: sum(costs[point] for costs in workloads.values()) for point in points}
        chosen = (*chosen, *best_point(sums))
    return chosen


def verdict(workload: Workload) -> str:
    """Whether the loop is within 3 % of the best fixed setting."""
    ratio = workload.tuned_over_best.median
    return "met" if ratio <= 1.03 else f"{(ratio - 1) * 100:.1f} % behind"


def words(point: Mapping[str, str]) -> str:
    """Settings for a table."""
    return " ".join(f"{name}={'never' if value == NEVER else value}" for name, value in point.items())


def shown(ratio: Interval) -> str:
    """A ratio with its interval."""
    return f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def table(report: Report) -> Iterable[str]:
    """The report as Markdown."""
    yield f"{report.ids} capabilities; load average {report.load[0]:.1f} at the end. {report.note}".rstrip()
    yield ""
    yield "| workload | original ns | best fixed ns | tuned ns | best fixed | tuned / original | tuned / best fixed | within 3 % |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in report.workloads:
        yield (
            f"| {one.name} | {one.original_ns:.2f} | {one.best_ns:.2f} | {one.tuned_ns:.2f} | {words(one.best)} | "
            f"{shown(one.tuned_over_original)} | {shown(one.tuned_over_best)} | {verdict(one)} |"
        )
    yield ""
    yield f"Best single fixed setting: {words(report.single)}."
    yield ""
    yield "| mix of phases | ratio of times |"
    yield "|---|---|"
    for name, ratio in report.mix.items():
        yield f"| {name} | {shown(ratio)} |"
    yield ""
    yield (
        f"The loop itself: at most {report.loop_share * 100:.2f} % of the time; "
        f"time in surveys at most {report.survey_share * 100:.1f} %."
    )


# --- measuring ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """The harness, and what all launches have in common."""

    harness: Path
    threads: int
    mode: Mode

    def launch(self, phase: str, point: Point, times: tuple[float, float], seed: int) -> dict[str, float]:
        """The metrics of one launch. One workload alone is given more time until all three ways have had their turn."""
        warmup, seconds = times
        for _ in range(RETRIES):
            metrics = self._launch_once(phase, point, (warmup, seconds), seed)
            if phase == "mix" or "tuned_over_fixed" in metrics:
                return metrics
            seconds *= 4
        raise LaunchFailed(f"{phase}: not every way of choosing settings had its turn within {seconds / 4} s")

    def _launch_once(
        self, phase: str, point: Point, times: tuple[float, float], seed: int
    ) -> dict[str, float]:
        settings = {"phase": phase, "ids": str(self.mode.ids), "phase_ms": str(self.mode.phase_ms)}
        if self.mode is SMOKE:
            settings["turn_percent"] = "1"
        settings.update(point)
        command = [str(self.harness), "run", "tuned_mix", "--threads", str(self.threads), "--interval", "0"]
        command += ["--warmup", str(times[0]), "--seconds", str(times[1]), "--seed", str(seed)]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LaunchFailed(f"{' '.join(command)}: {error}") from error
        lines = done.stdout.splitlines()
        result = json.loads(lines[-1]) if lines else {}
        if done.returncode != 0 or result.get("status") != "ok":
            said = done.stderr.strip() or next((line for line in lines if '"violation"' in line), "no result")
            raise LaunchFailed(f"{' '.join(command)}: exit status {done.returncode}: {said}")
        return {metric["metric"]: metric["value"] for metric in result["metrics"]}


def sweep_grid(bench: Bench, workload: str, points: Sequence[Point]) -> dict[Point, float]:
    """Point → its cost over the original's in the same launch."""
    costs = {}
    for number, point in enumerate(points):
        metrics = bench.launch(workload, point, bench.mode.grid, number + 1)
        costs[point] = metrics["fixed_over_original"]
        print(f"{workload}: {words(dict(point))}: {costs[point]:.3f}", file=sys.stderr)
    return costs


def sweep_workload(bench: Bench, name: str, costs: Mapping[Point, float], report: Report) -> Workload:
    """The best point beside the loop, several launches."""
    best = best_point(costs)
    runs = [bench.launch(name, best, bench.mode.final, 100 + i) for i in range(bench.mode.launches)]
    report.loop_share = max(report.loop_share, *(run["loop_share"] for run in runs))
    report.survey_share = max(report.survey_share, *(run["survey_share"] for run in runs))
    workload = Workload(
        name=name,
        best=dict(best),
        grid=[(dict(point), cost) for point, cost in costs.items()],
        original_ns=statistics.median(run[f"original_{name}_ns"] for run in runs),
        best_ns=statistics.median(run[f"fixed_{name}_ns"] for run in runs),
        tuned_ns=statistics.median(run[f"tuned_{name}_ns"] for run in runs),
        best_over_original=interval([run["fixed_over_original"] for run in runs]),
        tuned_over_original=interval([run["tuned_over_original"] for run in runs]),
        tuned_over_best=interval([run["tuned_over_fixed"] for run in runs]),
    )
    print(f"{name}: tuned / best fixed {shown(workload.tuned_over_best)}", file=sys.stderr)
    return workload


def sweep(bench: Bench, mode: str, note: str) -> Report:
    """All workloads, then the mix."""
    report = Report(mode=mode, ids=bench.mode.ids, load=os.getloadavg(), note=note)
    grids: dict[str, dict[str, dict[Point, float]]] = {}
    for family, members in CLASSES.items():
        grids[family] = {name: sweep_grid(bench, name, bench.mode.grids[family]) for name in members}
    for family, members in CLASSES.items():
        report.workloads += [sweep_workload(bench, name, grids[family][name], report) for name in members]
    single = best_single(grids)
    report.single = dict(single)
    runs = [
        bench.launch("mix", single, (0.0, bench.mode.mix), 200 + i) for i in range(bench.mode.mix_launches)
    ]
    for name, metric in (
        ("tuned / original", "tuned_over_original"),
        ("best single fixed / original", "fixed_over_original"),
        ("tuned / best single fixed", "tuned_over_fixed"),
    ):
        ratios = [run[metric] for run in runs if metric in run]
        if ratios:  # a busy machine may not come through the first phase
            report.mix[name] = interval(ratios)
    report.loop_share = max(report.loop_share, *(run["loop_share"] for run in runs))
    report.load = os.getloadavg()
    return report


def arguments_of(words_given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("harness", type=Path)
    parser.add_argument("--mode", choices=sorted(MODES), default="quick")
    parser.add_argument("--ids", type=int, help="capabilities in the table; default: the mode's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the table")
    return parser.parse_args(words_given)


def main(words_given: Sequence[str] | None = None) -> int:
    """Measures, prints, writes."""
    given = arguments_of(words_given)
    if not os.access(given.harness, os.X_OK):
        print(f"tuning_sweep.py: {given.harness} is no program", file=sys.stderr)
        return 2
    mode = MODES[given.mode]
    if given.ids is not None:
        mode = Mode(**{**vars(mode), "ids": given.ids})
    try:
        report = sweep(Bench(given.harness, given.threads, mode), given.mode, given.note)
    except LaunchFailed as failure:
        print(f"tuning_sweep.py: {failure}", file=sys.stderr)
        return 1
    print("\n".join(table(report)))
    if given.json is not None:
        given.json.write_text(json.dumps(asdict(report), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
