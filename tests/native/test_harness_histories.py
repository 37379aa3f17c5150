"""What the harness records can have happened; and where one answer of it is another's, it cannot."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from harness_calls import Harness

from orchestrator.analysis.histories.check import JUDGES, Window, check_window, check_windows

pytestmark = pytest.mark.native

Calls = list[dict[str, Any]]


def pop_twice(windows: list[Calls]) -> list[Calls]:
    """Each window with the answer of its first pop given by the second one, too."""
    spoilt = []
    for calls in windows:
        two = [c for c in calls if c["op"] == "pop" and c["ret"] is not None][:2]
        if len(two) == 2:
            two[1]["ret"] = two[0]["ret"]
            spoilt.append(calls)
    return spoilt


def say_no(windows: list[Calls]) -> list[Calls]:
    """Each window with a check that succeeded after one that did not: what is gone is found again."""
    spoilt = []
    for calls in windows:
        checks = sorted((c for c in calls if c["op"] == "check" and c["ret"]), key=lambda c: c["inv"])
        twice = [(a, b) for a in checks for b in checks if (a["obj"], a["arg"]) == (b["obj"], b["arg"])]
        pair = next(((a, b) for a, b in twice if a["res"] < b["inv"]), None)
        if pair is not None:
            pair[0]["ret"] = False
            spoilt.append(calls)
    return spoilt


SPOIL: dict[str, Callable[[list[Calls]], list[Calls]]] = {
    "deque": pop_twice,
    "pool": lambda windows: [[c for c in calls if c["op"] == "take"] for calls in windows],
    "capability": say_no,
}


@pytest.mark.parametrize("bench", ["history_deque", "history_queue", "history_capability"])
def test_what_is_recorded_is_right_and_one_wrong_answer_is_found(harness: Harness, bench: str) -> None:
    window = ("--seconds", "0.5", "--warmup", "0.05", "--interval", "0")
    said = harness("run", bench, "--threads", "2", "--cpus", "0,0", *window, "--set", "windows=40")
    assert (said.status, said.errors) == (0, "")
    records = said.of("history")
    assert records
    found: dict[int, Calls] = defaultdict(list)
    for record in records:
        found[record["window"]] += record["ops"]
    assert sum(record["last"] for record in records) == len(found) <= 40
    (counted,) = [r["value"] for r in said.of("counter") if r["name"] == "windows"]
    assert counted == len(found)
    spec = records[0]["spec"]
    assert spec in JUDGES
    answers = check_windows([Window(spec, json.dumps(calls)) for calls in found.values()])
    assert [(a.fault, a.undecided) for a in answers] == [(None, "")] * len(found)
    spoilt = SPOIL[spec](list(found.values()))
    assert spoilt
    wrong = [check_window(Window(spec, json.dumps(calls))).fault is not None for calls in spoilt]
    assert all(wrong)


def test_a_run_without_room_for_a_window_records_none_beyond_it(harness: Harness) -> None:
    said = harness("run", "history_capability", "--threads", "2", "--seconds", "0.2", "--set", "windows=1")
    assert said.status == 0
    assert {record["window"] for record in said.of("history")} <= {0}
