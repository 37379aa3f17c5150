"""Benches of arms: every arm has its figure, its histogram, and its account of samples."""

from __future__ import annotations

import pytest
from harness_calls import Harness

from orchestrator.results.histogram import decode_histogram

pytestmark = pytest.mark.native

SHORT = ("--seconds", "0.3", "--warmup", "0.05", "--interval", "0")


@pytest.mark.parametrize("threads", [1, 2])
def test_arms_account_for_every_sample(harness: Harness, threads: int) -> None:
    said = harness("run", "op_check", "--threads", str(threads), *SHORT)
    assert said.status == 0, said.errors
    metrics = said.metrics
    counters = {r["name"]: r["value"] for r in said.of("counter")}
    names = {name.removesuffix("_clean") for name in counters if name.endswith("_clean")}
    assert {"floor", "baseline", "ours", "cal_add", "cal_cas", "cal_fence"} <= names
    assert ("ours_1t" in names) == (threads > 1)
    for name in names:
        # a machine that is busy may leave no clean sample: then there is no figure, and the count says why
        assert (f"{name}_ns" in metrics) == (counters[f"{name}_clean"] != 0)
        assert f"{name}_dropped" in counters
    told = {r["metric"]: decode_histogram(r["data"]) for r in said.of("histogram")}
    assert set(told) == {name for name in metrics if name.removesuffix("_ns") in names}
    for name, histogram in told.items():
        assert histogram.total == counters[name.replace("_ns", "_clean")]
        in_ps = round(metrics[name] * 1000)  # as a histogram has it: whole ones
        assert histogram.minimum <= in_ps * 1.002
        assert in_ps <= histogram.maximum * 1.002


@pytest.mark.parametrize("variant", ["asan", "tsan"])
@pytest.mark.parametrize("bench", ["op_check", "op_deque_pair", "op_steal", "op_dag", "op_system"])
def test_arms_pass_under_sanitizers(harness: Harness, bench: str, variant: str) -> None:
    threads = "1" if bench == "op_deque_pair" else "2"
    said = harness("run", bench, "--threads", threads, "--seconds", "0.1", "--warmup", "0", variant=variant)
    assert said.status == 0, said.errors


def test_a_bench_of_one_thread_refuses_two(harness: Harness) -> None:
    said = harness("run", "op_spawn", "--threads", "2")
    assert (said.status, said.records) == (2, [])
    assert said.errors == "orch-harness: op_spawn: measures one thread, not 2\n"
