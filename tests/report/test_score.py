"""The scoreboard counts what the trials say, and a trial that was not made is no kill."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.report.score import lines, scoreboard
from orchestrator.report.score_page import page


def trial(mutant: str, detector: str, seed: int = 1, *, killed: bool = True, **given: Any) -> dict[str, Any]:
    base = {
        "type": "trial",
        "mutant": mutant,
        "decoy": False,
        "breaks": "S1",
        "kinds": [],
        "subjects": ["deque"],
        "detector": detector,
        "seed": seed,
        "killed": killed,
        "seconds": 1.0,
        "executions": 100.0,
        "report": "S1: twice" if killed else "",
        "token": "t" if killed and detector == "explore" else "",
        "replayed": True if killed and detector == "explore" else None,
        "switches": 2 if killed and detector == "explore" else None,
    }
    return {**base, **given}


BOTH = ("explore", "tsan")


def test_a_mutant_is_killed_where_one_detector_kills_it_with_one_seed() -> None:
    board = scoreboard(
        [
            trial("a", "explore", 1, killed=False),
            trial("a", "explore", 2),
            trial("a", "tsan", 1, killed=False),
            trial("b", "explore", 1, killed=False),
            trial("b", "tsan", 1, killed=False),
        ],
        BOTH,
    )
    assert board["total"] == {
        "planted": 2,
        "killed": 1,
        "decoys": 0,
        "false_alarms": 0,
        "unusable": 0,
        "missing": 0,
    }
    assert (board["detectors"]["explore"]["killed"], board["detectors"]["explore"]["with_every_seed"]) == (
        1,
        0,
    )
    assert board["detectors"]["tsan"]["killed"] == 0
    assert any(line.startswith("survived: b") for line in lines(board))


def test_a_kill_is_unique_where_nobody_else_has_it() -> None:
    board = scoreboard([trial("a", "explore"), trial("a", "tsan"), trial("b", "tsan")], BOTH)
    assert (board["detectors"]["explore"]["unique"], board["detectors"]["tsan"]["unique"]) == (0, 1)


def test_a_report_of_a_decoy_is_a_false_alarm_and_no_kill() -> None:
    board = scoreboard([trial("d", "tsan", decoy=True), trial("e", "tsan", decoy=True, killed=False)], BOTH)
    assert board["total"] == {
        "planted": 0,
        "killed": 0,
        "decoys": 2,
        "false_alarms": 1,
        "unusable": 0,
        "missing": 0,
    }
    assert board["detectors"]["tsan"]["false_alarms"] == 1
    assert any(line.startswith("false alarm: d: tsan: S1: twice") for line in lines(board))


def test_seconds_and_executions_are_of_kills_alone() -> None:
    made = [trial("a", "explore", n, seconds=float(n), executions=n * 10.0) for n in range(1, 11)]
    made += [trial("a", "explore", 99, killed=False, seconds=1000.0)]
    explore = scoreboard(made, BOTH)["detectors"]["explore"]
    assert (explore["seconds_median"], explore["seconds_p90"]) == (5.5, 9.0)
    assert (explore["executions_median"], explore["executions_p90"]) == (55.0, 90.0)
    assert explore["replayed"] == pytest.approx(1.0)


def test_a_detector_that_was_not_asked_has_nothing_to_show() -> None:
    board = scoreboard([trial("a", "explore", replayed=False)], BOTH)
    assert board["detectors"]["tsan"]["asked"] == 0
    assert board["detectors"]["tsan"]["seconds_median"] is None
    assert board["detectors"]["explore"]["replayed"] == 0.0
    assert any(line.startswith("tsan") and "–" in line for line in lines(board))


def test_kinds_void_and_unusable_are_told() -> None:
    records = [
        trial("a", "explore", kinds=["aba", "weak-memory"]),
        trial("b", "explore", kinds=["aba"], killed=False),
        {"type": "void", "detector": "tsan", "subject": "deque", "report": "baseline_churn: data race"},
        {"type": "unusable", "mutant": "c", "report": "c.patch does not apply: x\ny"},
    ]
    board = scoreboard(records, BOTH)
    assert board["kinds"] == {"aba": {"planted": 2, "killed": 1}, "weak-memory": {"planted": 1, "killed": 1}}
    told = list(lines(board))
    assert "by kind: aba 1 of 2, weak-memory 1 of 1" in told
    assert "void: tsan for deque: baseline_churn: data race" in told
    assert "not tried: c: c.patch does not apply: x" in told


def test_what_was_planned_and_not_made_is_missing() -> None:
    plan = {"type": "plan", "build": "new", "faults": 2, "trials": 3}
    old = trial("a", "tsan", key="old:a")
    board = scoreboard(
        [old, plan, trial("a", "explore", key="new:1"), trial("a", "explore", key="new:1")], BOTH
    )
    assert (board["total"]["missing"], board["detectors"]["tsan"]["asked"]) == (2, 0)
    assert board["mutants"][0]["by"]["explore"]["seeds"] == 1
    assert "not made: 2 trials" in list(lines(board))


def test_an_answer_holds_while_what_it_stands_on_is_the_same() -> None:
    plan = {"type": "plan", "build": "new", "stands_on": ["s"], "patches": ["p"], "faults": 1, "trials": 4}
    made = [
        trial("a", "explore", key="s:p:1"),
        trial("a", "tsan", key="t:p:1"),
        trial("a", "asan", key="s:q:1"),
    ]
    void = {
        "type": "void",
        "detector": "tsan",
        "subject": "deque",
        "report": "",
        "key": "old:void:tsan:deque",
    }
    board = scoreboard([void, *made, plan], ("explore", "tsan", "asan"))
    assert [d["asked"] for d in board["detectors"].values()] == [1, 0, 0]
    assert board["void"] == []


def test_the_page_says_what_survived_and_what_is_missing() -> None:
    plan = {"type": "plan", "build": "b", "faults": 3, "trials": 4}
    made = [trial("a", "explore", key="b:1"), trial("b", "tsan", killed=False, key="b:2")]
    text = page(scoreboard([plan, *made], BOTH), {"day": "2001-02-03"})
    assert (
        "**1 of 2 planted faults killed, 0 false alarms on 0 decoys**; 2 trials are missing, 2 of 3 patches were begun."
        in text
    )
    assert "Survived: `b` (S1)." in text
    assert "| `a` | S1 | 1/1 |  |" in text
    assert "- day: 2001-02-03" in text
