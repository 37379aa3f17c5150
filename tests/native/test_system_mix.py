"""The whole system at work, and the scheduler alone: nothing is lost, nothing runs after its revoke, and all counts balance,
lock-free and under locks."""

from __future__ import annotations

import os

import pytest
from harness_calls import Harness, Said

pytestmark = pytest.mark.native
BENCHES = ("system_mix", "baseline_system_mix")
CHURNS = ("task_churn", "baseline_task_churn")


def run(harness: Harness, bench: str, threads: int, *more: str) -> Said:
    words = ["--threads", str(threads), "--seconds", "0.3", "--warmup", "0", "--interval", "0"]
    return harness("run", bench, *words, *more)


def counters(said: Said) -> dict[str, float]:
    return {c["name"]: c["value"] for c in said.of("counter")}


@pytest.mark.parametrize("bench", BENCHES)
def test_work_on_every_cpu_is_run_or_refused_and_never_lost(harness: Harness, bench: str) -> None:
    said = run(harness, bench, 3, "--set", "revokes=0.5", "--set", "away=0.5")
    assert said.of("violation") == []
    assert (said.status, said.result["status"]) == (0, "ok")
    assert counters(said)["tasks_run"] > 0


@pytest.mark.parametrize("bench", BENCHES)
def test_what_is_revoked_while_it_waits_never_runs(harness: Harness, bench: str) -> None:
    said = run(harness, bench, 1, "--set", "revokes=1", "--set", "tasks=1")
    assert said.of("violation") == []
    assert said.status == 0
    assert 0 < counters(said)["tasks_run"] == counters(said)["tasks_refused"]


@pytest.mark.parametrize("bench", CHURNS)
def test_tasks_of_every_kind_are_run_as_the_contract_says(harness: Harness, bench: str) -> None:
    said = run(harness, bench, 3)
    assert said.of("violation") == []
    assert (said.status, said.result["status"]) == (0, "ok")
    assert counters(said)["runs"] > 0


@pytest.mark.parametrize("bench", BENCHES)
def test_sixteen_workers_on_one_cpu_end_too(harness: Harness, bench: str) -> None:
    cpu = str(min(os.sched_getaffinity(0)))
    said = run(harness, bench, 16, "--cpus", ",".join([cpu] * 16), "--set", "away=0.5")
    assert said.of("violation") == []
    assert (said.status, said.result["status"]) == (0, "ok")
