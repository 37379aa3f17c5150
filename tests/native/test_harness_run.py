from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

import pytest
from harness_calls import Harness, Said

from orchestrator.bundle.digest import source_digest

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"
EVERY_BENCH = sorted(p.stem.removeprefix("bench_") for p in (NATIVE / "harness").glob("bench_*.c"))
COMMON = {"ops_per_second": "1/s", "ns_per_op": "ns", "thread_ops_min": "1", "thread_ops_max": "1"}


def short(harness: Harness, bench: str, *more: str, variant: str = "release") -> Said:
    """With two threads, or with one where the bench says that it measures one."""
    window = ("--seconds", "0.3", "--warmup", "0.1", "--interval", "0.1")
    said = harness("run", bench, "--threads", "2", *window, *more, variant=variant)
    if said.errors == f"orch-harness: {bench}: measures one thread, not 2\n":
        assert (said.status, said.records) == (2, [])
        said = harness("run", bench, *window, *more, variant=variant)
    return said


@pytest.mark.parametrize("variant", ["release", "asan", "tsan"])
@pytest.mark.parametrize("bench", EVERY_BENCH)
def test_every_bench_runs_clean_under_every_variant(
    harness: Harness, listing: dict[str, Any], bench: str, variant: str
) -> None:
    said = short(harness, bench, variant=variant)
    for seconds in ("5", "20", "80"):  # where on a busy machine not one turn of all arms was over in time
        if said.status != 0 or said.result["ops"] > 0:
            break
        said = short(harness, bench, "--seconds", seconds, variant=variant)
    assert said.errors == ""
    assert said.status == 0
    assert said.result["status"] == "ok"
    assert said.result["violations"] == 0
    assert said.result["ops"] > 0
    units = {m["metric"]: m["unit"] for m in said.result["metrics"]}
    assert units.items() >= COMMON.items()
    (listed,) = [b for b in listing["benches"] if b["name"] == bench]
    assert said.records[0]["settings"] == {s["name"]: s["default"] for s in listed["settings"]}


@pytest.mark.parametrize("bench", EVERY_BENCH)
def test_more_threads_than_cpus_run_too(harness: Harness, bench: str) -> None:
    said = harness(
        "run", bench, "--threads", "16", "--seconds", "0.3", "--warmup", "0", "--cpus", ",".join(["0"] * 16)
    )
    if said.status == 2:  # what takes one thread, or two, says so
        assert re.fullmatch(rf"orch-harness: {bench}: [^\n]*, not 16\n", said.errors)
        return
    assert (said.status, said.errors) == (0, "")
    assert said.of("hello")[0]["cpus"] == [0] * 16


def test_the_hello_repeats_what_was_asked(harness: Harness) -> None:
    said = short(
        harness,
        "capability_check",
        "--cpus",
        "0,0,0",
        "--mem",
        "interleave",
        "--seed",
        "7",
        "--set",
        "ids=100",
    )
    hello = said.records[0]
    assert hello["type"] == "hello"
    assert hello["protocol"] == 1
    assert hello["build"] == source_digest(NATIVE)
    assert hello["variant"] == "release"
    assert hello["compiler"]
    assert hello["bench"] == "capability_check"
    assert (hello["threads"], hello["cpus"], hello["mem"], hello["seed"]) == (2, [0, 0], "interleave", 7)
    assert (hello["warmup_s"], hello["seconds"]) == (0.1, 0.3)
    assert hello["settings"]["ids"] == 100


def test_intervals_cover_the_window_without_gap_or_overlap(harness: Harness) -> None:
    said = short(harness, "capability_check")
    intervals = said.of("interval")
    phases = [i["phase"] for i in intervals]
    assert phases == ["warmup"] * phases.count("warmup") + ["measure"] * phases.count("measure")
    measured = [i for i in intervals if i["phase"] == "measure"]
    assert sum(i["ops"] for i in measured) == said.result["ops"]
    assert sum(i["dt"] for i in measured) == pytest.approx(said.result["seconds"], abs=0.02)
    for before, after in itertools.pairwise(intervals):
        assert after["t"] > before["t"]
        assert after["t"] - after["dt"] == pytest.approx(before["t"], abs=0.02)


def test_metrics_agree_with_each_other(harness: Harness) -> None:
    said = short(harness, "harness_floor")
    rate = said.result["ops"] / said.result["seconds"]
    assert said.metrics["ops_per_second"] == pytest.approx(rate, rel=1e-6)
    assert said.metrics["ns_per_op"] == pytest.approx(2e9 / rate, rel=1e-6)
    least, most = said.metrics["thread_ops_min"], said.metrics["thread_ops_max"]
    assert 0 < least <= most
    assert least + most == said.result["ops"], "two threads: the least and the most are all"


def test_no_interval_means_no_interval_records(harness: Harness) -> None:
    said = harness("run", "harness_floor", "--seconds", "0.1", "--warmup", "0", "--interval", "0")
    assert [r["type"] for r in said.records] == ["hello", "result"]


def test_threads_run_where_they_were_told(harness: Harness) -> None:
    """On one CPU two threads share what one gets; their sum is bound by that CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    said = short(harness, "harness_floor", "--cpus", f"{cpus[-1]},{cpus[-1]}")
    assert said.of("hello")[0]["cpus"] == [cpus[-1]] * 2
    assert said.status == 0


@pytest.mark.parametrize("policy", ["local", "interleave", "node:0"])
def test_every_memory_policy_is_taken(harness: Harness, policy: str) -> None:
    said = short(harness, "capability_check", "--mem", policy)
    assert (said.status, said.of("hello")[0]["mem"]) == (0, policy)
