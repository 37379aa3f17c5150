"""The analysis linearizability: from history records of a journal to a finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import run_folders as rf

from orchestrator.analysis.histories.check import check_windows
from orchestrator.model.finding import Finding, Verdict
from orchestrator.results.rebuild import Rebuilt, rebuild


def call(op: str, arg: Any, ret: Any, inv: int, res: int, t: int = 0) -> dict[str, Any]:
    return {"t": t, "op": op, "obj": 0, "arg": arg, "ret": ret, "inv": inv, "res": res}


def history(number: int, *calls: dict[str, Any], last: bool = True, spec: str = "deque") -> dict[str, Any]:
    return {"type": "history", "spec": spec, "window": number, "ops": list(calls), "last": last}


PUSH = call("push", [1, 2], None, 0, 10)
GOOD = history(0, PUSH, call("steal", None, [1, 2], 20, 30, t=1))
BAD = history(1, PUSH, call("pop", None, 2, 11, 15), call("steal", None, [1, 2], 20, 30, t=1))


def judged(root: Path, *histories: dict[str, Any], spread: Any = None) -> tuple[Rebuilt, list[Finding]]:
    step = rf.step("lin", bench="history_deque")
    builder = rf.Builder.make(root, rf.plan([step], [rf.job("lin", judges=[rf.judge("linearizability")])]))
    good = rf.good_records(step)
    builder.launch(step, rf.launch_entries(step, 0, [*good[:-1], *histories, good[-1]]))
    folder = builder.say("step_done", step).finish()
    rebuilt = rebuild(folder, spread=spread) if spread else rebuild(folder)
    return rebuilt, [f for f in rebuilt.findings if f.analysis == "linearizability"]


def test_right_windows_hold_and_say_what_that_excludes(tmp_path: Path) -> None:
    _, (found,) = judged(tmp_path, GOOD)
    assert (found.verdict, found.subject) == (Verdict.HOLDS, "lin deque")
    assert "1 windows with 2 calls are linearizable" in found.summary
    assert "fewer than 4.61 wrong ones per window" in found.summary


def test_a_wrong_window_is_a_violation_and_is_drawn(tmp_path: Path) -> None:
    rebuilt, (found,) = judged(tmp_path, GOOD, BAD)
    assert (found.verdict, found.value) == (Verdict.VIOLATED, 1.0)
    assert rebuilt.exit_code == 1
    assert "1 of 2 windows with 5 calls are not linearizable" in found.summary
    assert "launch 0 window 1 on h1" in found.summary
    lines = found.evidence[0].text.splitlines()
    assert lines[0].startswith("window 1: deque: no order of these calls lets steal of thread 1")
    assert lines[1].split() == ["ns", "thread", "0", "thread", "1"]


def test_a_window_in_two_records_is_one(tmp_path: Path) -> None:
    parts = [history(0, PUSH, last=False), history(0, call("steal", None, [1, 2], 20, 30, t=1))]
    rebuilt, (found,) = judged(tmp_path, *parts)
    assert found.verdict is Verdict.HOLDS
    table = rebuilt.tables["histories"]
    assert (list(table["window"]), list(table["whole"])) == ([0], [True])


def test_a_window_without_its_last_record_is_unknown(tmp_path: Path) -> None:
    _, (found,) = judged(tmp_path, GOOD, history(1, PUSH, last=False))
    assert found.verdict is Verdict.UNKNOWN
    assert "not all of its records are there" in found.summary


def test_what_is_no_history_is_unknown_and_breaks_nothing(tmp_path: Path) -> None:
    odd = [
        {"type": "history", "spec": 1, "window": 0, "ops": []},
        history(2, {"op": "push"}),
        history(3, spec="heap"),
    ]
    _, found = judged(tmp_path, GOOD, *odd)
    assert [(f.subject, f.verdict) for f in found] == [
        ("lin deque", Verdict.UNKNOWN),
        ("lin heap", Verdict.UNKNOWN),
    ]
    assert "unknown kind of history 'heap'" in found[1].summary


def test_histories_do_not_fill_the_events(tmp_path: Path) -> None:
    rebuilt, _ = judged(tmp_path, GOOD, BAD)
    assert "history" not in set(rebuilt.tables["events"]["kind"])


def test_the_work_can_be_given_to_others(tmp_path: Path) -> None:
    asked: list[int] = []

    def spread(work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
        assert work is check_windows
        asked.append(len(pieces))
        return [work(piece) for piece in pieces]

    _, (found,) = judged(tmp_path, GOOD, BAD, spread=spread)
    assert asked == [1]
    assert found.verdict is Verdict.VIOLATED
