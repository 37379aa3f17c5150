"""The scoreboard over real planted faults, by the explorer, which needs least time for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from orch_process import orch

pytestmark = [pytest.mark.slow, pytest.mark.native]

#: one that needs weak memory, one that crashes, and one that only gives a wrong answer
FAULTS = ("pop_without_fence", "retire_without_grace", "grow_loses_an_item")


def test_the_explorer_kills_known_faults_and_has_every_kill_again(tmp_path: Path) -> None:
    only = [word for name in FAULTS for word in ("--only", name)]
    keep = tmp_path / "kept.jsonl"
    words: tuple[str | Path, ...] = (
        "race",
        "score",
        "--detector",
        "explore",
        "--seeds",
        "2",
        "--budget",
        "10s",
        "--keep",
        keep,
        "--json",
        *only,
    )
    first = orch(*words, timeout_s=900)
    board = json.loads(first.out)
    assert board["total"] == {
        "planted": 3,
        "killed": 3,
        "decoys": 0,
        "false_alarms": 0,
        "unusable": 0,
        "missing": 0,
    }, first.err
    assert board["detectors"]["explore"]["replayed"] == 1.0
    assert first.code == 0
    # nothing is tried twice
    again = orch(*words, timeout_s=900)
    assert json.loads(again.out)["mutants"] == board["mutants"]
