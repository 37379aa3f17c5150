"""Workers that stand still now and then: a run with them ends as any other, and says how often it was."""

from __future__ import annotations

import pytest
from harness_calls import Harness

pytestmark = pytest.mark.native
WINDOW = ("--threads", "3", "--seconds", "0.4", "--warmup", "0", "--interval", "0")


@pytest.mark.parametrize("bench", ["capability_churn", "scheduler_churn"])
def test_a_right_structure_stays_right_while_its_threads_stutter(harness: Harness, bench: str) -> None:
    said = harness("run", bench, *WINDOW, "--stutter", "2")
    assert (said.status, said.errors, said.of("violation")) == (0, "", [])
    counted = {c["name"]: c["value"] for c in said.of("counter")}
    assert counted["stutters"] >= 1
    # who is judged by how the others get on is not judged by these
    assert "stalls" not in counted or counted["stalls"] == 0


def test_nobody_stutters_unasked(harness: Harness) -> None:
    said = harness("run", "harness_floor", *WINDOW)
    assert "stutters" not in {c["name"] for c in said.of("counter")}


@pytest.mark.parametrize("text", ["soon", "-1", "101"])
def test_a_length_that_is_none_is_refused(harness: Harness, text: str) -> None:
    said = harness("run", "harness_floor", "--stutter", text)
    assert said.status == 2
    assert said.errors.startswith("orch-harness: --stutter")
    assert said.errors.count("\n") == 1
