"""A table grows to 2^26 live capabilities while it is asked; what fits, where the machine is smaller."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness_calls import Harness
from preset_builds import up_to_date

from orchestrator.results.histogram import decode_histogram

#: Of one capability: its entry, its slot, its id in the test, and room to spare.
BYTES_EACH = 112


def fitting(wanted: int) -> int:
    """The largest power of two up to `wanted` for which there is memory now."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    while wanted * BYTES_EACH > available:
        wanted //= 2
    return wanted


@pytest.fixture(scope="module")
def program() -> Path:
    return up_to_date("release", "test_growth") / "test_growth"


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.timeout(900)
def test_a_table_grows_to_2_to_the_26_live_capabilities_and_answers_meanwhile(program: Path) -> None:
    call = [str(program), str(fitting(1 << 26))]
    done = subprocess.run(call, capture_output=True, text=True, timeout=800)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.native
def test_a_number_of_capabilities_that_cannot_be_is_refused(program: Path) -> None:
    for count in ("0", "x", str((1 << 26) + 1)):
        done = subprocess.run([str(program), count], capture_output=True, text=True, timeout=240)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.native
def test_a_growing_table_is_timed_beside_one_that_does_not_grow(harness: Harness) -> None:
    window = ["--threads", "2", "--seconds", "1", "--warmup", "0", "--interval", "0", "--set", "ids=4096"]
    said = harness("run", "capability_growth", *window)
    assert (said.status, said.errors, said.of("violation")) == (0, "", [])
    told = {r["metric"]: decode_histogram(r["data"]) for r in said.of("histogram")}
    made = said.result["ops"]
    assert 0 < made <= 4096
    assert told["create_growing"].total == made
    assert 0 < told["create_still"].total <= made
    assert said.metrics["create_growing_p50"] <= said.metrics["create_growing_max"]
