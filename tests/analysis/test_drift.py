"""Slopes of long jobs: what is a drift, what is a leak, and what cannot be told."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_folders as rf

from agents.wire import Entry
from orchestrator.analysis import drift
from orchestrator.analysis.trend import MIN_POINTS, binned, inflation, theil_sen
from orchestrator.model.finding import Finding, Verdict
from orchestrator.results.rebuild import rebuild

# -- the slope -------------------------------------------------------------------------------------------


def noise(points: int, seed: int, memory: float = 0.0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of deviation 1 where there is no memory; each value holds ``memory`` of the one before."""
    draw = random.Random(seed)
    made = [draw.gauss(0, 1)]
    for _ in range(points - 1):
        made.append(memory * made[-1] + draw.gauss(0, 1))
    return np.asarray(made)


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_series_without_a_slope_are_seldom_said_to_have_one(memory: float) -> None:
    times = np.arange(240.0)
    found = [theil_sen(times, noise(240, seed, memory), 0.99) for seed in range(200)]
    assert sum(f is not None and f.shown for f in found) <= 8
    assert all(f is not None for f in found)


def test_a_slope_that_is_there_is_found_and_lies_in_its_interval() -> None:
    times = np.arange(240.0)
    found = [theil_sen(times, 0.02 * times + noise(240, seed), 0.99) for seed in range(50)]
    assert sum(f is not None and f.shown for f in found) == 50
    assert sum(f is not None and f.low <= 0.02 <= f.high for f in found) >= 47


def test_a_few_wild_values_move_no_slope() -> None:
    times, values = np.arange(100.0), noise(100, 1)
    values[::10] += 1e6
    found = theil_sen(times, values, 0.99)
    assert found is not None
    assert abs(found.slope) < 0.05


def test_too_few_points_and_points_at_one_time_have_no_slope() -> None:
    few = np.arange(MIN_POINTS - 1.0)
    assert theil_sen(few, few, 0.99) is None
    assert theil_sen(np.zeros(50), np.arange(50.0), 0.99) is None


def test_the_order_of_the_points_does_not_matter() -> None:
    times, values = np.arange(500.0), noise(500, 3)
    mixed = np.random.default_rng(1).permutation(500)
    assert theil_sen(times[mixed], values[mixed], 0.99) == theil_sen(times, values, 0.99)


def test_a_flat_series_is_exactly_flat_and_many_points_become_few() -> None:
    found = theil_sen(np.arange(100.0), np.full(100, 7.0), 0.99)
    assert found is not None
    assert (found.slope, found.low, found.high, found.shown) == (0.0, 0.0, 0.0, False)
    times, values = binned(np.arange(10_000.0), np.arange(10_000.0))
    assert len(times) == len(values) == 240
    assert inflation(noise(200, 1)) < 1.6 < 3 < inflation(noise(200, 1, 0.8))


# -- the verdict -----------------------------------------------------------------------------------------


def judged(
    tmp_path: Path,
    rate: Callable[[float], float],
    rss: Callable[[float], float] = lambda _: 1e8,
    points: int = 300,
    **parameters: Any,
) -> dict[str, Finding]:
    """One launch of ``points`` intervals of 10 s each, and as many samples of its memory; metric → finding."""
    step = rf.step("soak", seconds=points * 10.0)
    records: list[tuple[str, dict[str, Any]]] = [("record", rf.hello(step))]
    for n in range(points):
        t = 10.0 * (n + 1)
        records.append(("record", rf.interval("measure", t, round(rate(t) * 10), 10.0)))
        records.append(("vital", {"rss": rss(t)}))
    records += [("record", rf.result(1e6)), ("ended", rf.ended())]
    first = rf.launch_entries(step)[0]
    entries = [first, *(_entry(n, kind, data) for n, (kind, data) in enumerate(records, start=1))]
    builder = rf.Builder.make(tmp_path, rf.plan([step], [rf.job("soak")]))
    builder.launch(step, entries)
    builder.say("step_done", step)
    rebuilt = rebuild(builder.finish())
    found = drift.analyse(rebuilt.tables, rebuilt.plan, None, parameters)
    return {f.subject.rpartition(" ")[2]: f for f in found}


def _entry(seq: int, kind: str, data: dict[str, Any]) -> Entry:
    mono = 100.0 + (data["t"] if "t" in data else 5.0 * seq)
    return Entry(seq, 0, rf.T0 + mono, mono, kind, data)


def steady(t: float) -> float:
    return 1e6 * (1 + 0.01 * random.Random(t).gauss(0, 1))


def test_a_steady_soak_neither_drifts_nor_leaks(tmp_path: Path) -> None:
    found = judged(tmp_path, steady)
    assert {n: f.verdict for n, f in found.items()} == {
        "ops_per_second": Verdict.HOLDS,
        "rss": Verdict.HOLDS,
    }
    assert "no drift that matters" in found["rss"].summary


def test_throughput_that_falls_is_a_drift_and_one_that_rises_is_none(tmp_path: Path) -> None:
    falls = judged(tmp_path / "a", lambda t: steady(t) * (1 - t / 30_000))["ops_per_second"]
    assert (falls.verdict, falls.unit) == (Verdict.VIOLATED, "1")
    assert falls.value is not None
    assert falls.value < -0.05
    assert falls.summary.startswith("ops_per_second drifts: -")
    rises = judged(tmp_path / "b", lambda t: steady(t) * (1 + t / 30_000))["ops_per_second"]
    assert rises.verdict is Verdict.HOLDS


def test_memory_that_grows_is_a_leak_and_memory_that_shrinks_is_none(tmp_path: Path) -> None:
    leaks = judged(tmp_path / "a", steady, lambda t: 1e8 + 2e3 * t)["rss"]
    assert leaks.verdict is Verdict.VIOLATED
    assert leaks.summary.startswith("rss leaks: +")
    shrinks = judged(tmp_path / "b", steady, lambda t: 1e8 - 2e3 * t)["rss"]
    assert shrinks.verdict is Verdict.HOLDS


def test_what_grows_only_at_the_beginning_is_no_leak(tmp_path: Path) -> None:
    found = judged(tmp_path, steady, lambda t: 1e8 if t > 250 else 1e6 * t / 2.5)["rss"]
    assert found.verdict is Verdict.HOLDS


def test_a_growth_that_does_not_matter_is_said_to_be_one(tmp_path: Path) -> None:
    slow = judged(tmp_path, steady, lambda t: 1e8 + 20 * t)["rss"]
    assert slow.verdict is Verdict.HOLDS
    assert slow.low is not None
    assert slow.low > 0


def test_a_limit_that_is_asked_for_must_be_excluded(tmp_path: Path) -> None:
    found = judged(tmp_path, lambda t: steady(t) * random.Random(t).uniform(0.5, 1.5), limit="1%")
    assert found["ops_per_second"].verdict is Verdict.UNKNOWN
    assert "is not excluded" in found["ops_per_second"].summary
    assert found["rss"].verdict is Verdict.HOLDS


def test_a_job_that_was_too_short_is_unknown(tmp_path: Path) -> None:
    (found,) = judged(tmp_path, steady, points=5).values()
    assert found.verdict is Verdict.UNKNOWN
    asked = judged(tmp_path / "b", steady, points=5, metric="rss")
    assert [f.verdict for f in asked.values()] == [Verdict.UNKNOWN]


def test_tails_and_errors_are_followed_from_launch_to_launch(tmp_path: Path) -> None:
    from agents import hdr

    step = rf.step("soak")
    builder = rf.Builder.make(tmp_path, rf.plan([step], [rf.job("soak")]))
    for n in range(40):
        records = [
            *rf.good_records(step)[:-1],
            _histogram(hdr.encode({1000 + 20 * n: 50})),
            _errors(n),
            rf.result(1e6),
        ]
        builder.launch(step, rf.launch_entries(step, n, records, t=rf.T0 + 60.0 * n))
    builder.say("step_done", step)
    rebuilt = rebuild(builder.finish())
    found = {f.subject.rpartition(" ")[2]: f for f in drift.analyse(rebuilt.tables, rebuilt.plan, None, {})}
    assert found["p999"].verdict is Verdict.VIOLATED
    assert found["read_errors"].verdict is Verdict.VIOLATED
    assert found["ops_per_second"].verdict is Verdict.HOLDS


def _histogram(data: str) -> dict[str, Any]:
    head = {"type": "histogram", "metric": "latency", "unit": "us", "phase": "measure"}
    return {**head, "encoding": "hdr-v2-base64", "data": data}


def _errors(value: int) -> dict[str, Any]:
    return {"type": "counter", "name": "read_errors", "value": value, "unit": "1"}
