"""The oracle of S3: a CPU that sleeps beside ready work is seen, and a busy machine is not taken for one."""

from __future__ import annotations

import pytest
from harness_calls import Harness, Said

pytestmark = pytest.mark.native


def idle(harness: Harness, variant: str, threads: int) -> Said:
    window = ["--seconds", "0.5", "--warmup", "0", "--interval", "0", "--threads", str(threads)]
    return harness("run", "scheduler_idle", *window, variant=variant)


@pytest.mark.parametrize(("variant", "threads"), [("release", 2), ("release", 5), ("asan", 3), ("tsan", 3)])
def test_no_cpu_sleeps_on_beside_ready_work(harness: Harness, variant: str, threads: int) -> None:
    said = idle(harness, variant, threads)
    assert (said.status, said.errors, said.of("violation")) == (0, "", [])
    assert said.result["ops"] > 0
    assert {c["name"]: c["value"] for c in said.of("counter")}["parks"] > 0


def test_it_takes_somebody_to_sleep(harness: Harness) -> None:
    said = idle(harness, "release", 1)
    assert said.status == 2
    assert "it takes two threads" in said.errors
