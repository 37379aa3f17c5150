"""What is said of where memory lay, and of settings of hosts that were not put back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import run_folders as rf
from run_folders import by

from orchestrator.model.finding import Verdict
from orchestrator.model.plan import JudgeSpec
from orchestrator.results.rebuild import Rebuilt, rebuild


@pytest.mark.parametrize(
    ("mem", "cpus", "shares", "said"),
    [
        ("node:1", [1], (97.0, 99.0), (Verdict.HOLDS, "memory node:1: 97% of it was there")),
        ("node:1", [1], (99.0, 40.0), (Verdict.UNKNOWN, "memory node:1: 40% of it was there")),
        ("local", [1], (100.0,), (Verdict.HOLDS, "memory local to its threads: 100% of it was there")),
        ("local", [1], (), (Verdict.UNKNOWN, "memory local to its threads: not told")),
        ("local", [], (3.0,), None),
        ("interleave", [1], (50.0,), None),
    ],
)
def test_memory_counts_as_placed_where_the_kernel_found_it_in_every_launch(
    tmp_path: Path, mem: str, cpus: list[int], shares: Sequence[float], said: tuple[Verdict, str] | None
) -> None:
    step = rf.step("j", 0, mem=mem, cpus=cpus)
    builder = rf.Builder.make(tmp_path, rf.plan([step], [rf.job("j", judges=[JudgeSpec("placed")])]))
    for number, share in enumerate(shares or (None,)):
        metrics = rf.result()["metrics"]
        if share is not None:
            metrics.append({"metric": "memory_placed", "value": share, "unit": "%"})
        records = [*rf.good_records(step)[:-1], rf.result(metrics=metrics)]
        builder.launch(step, rf.launch_entries(step, number, records))
    found = by(rebuild(builder.say("step_done", step).finish()), "placed")
    assert [(f.verdict, f.summary.startswith(said[1])) for f in found if said] == (
        [(said[0], True)] if said else []
    )
    assert bool(found) == bool(said)


# -- restored --------------------------------------------------------------------------------------

THP = {"thp": {"asked": "never", "before": "always", "after": "never", "ok": True, "why": ""}}
WHY = {"thp": "it is always and not never"}


def tuned_run(tmp_path: Path, *notes: tuple[str, dict[str, Any]]) -> Rebuilt:
    step = rf.step("j")
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    for kind, data in notes:
        builder.note(kind, {"host": "h1", "reason": "", **data})
    return rebuild(builder.passed(step).finish())


HELD = ("lease", {"status": "held", "put_in_order": {}})
TUNED = ("tuned", {"settings": THP})


def given_back(status: str = "released", **more: Any) -> tuple[str, dict[str, Any]]:
    return ("lease", {"status": status, "restored": [], "not_restored": {}, **more})


@pytest.mark.parametrize(
    ("notes", "verdict", "code", "said"),
    [
        ([HELD, TUNED, given_back(restored=["thp"])], Verdict.HOLDS, 0, "h1: thp put back"),
        ([HELD, TUNED, given_back("gone")], Verdict.HOLDS, 0, "h1: thp put back"),
        (
            [HELD, TUNED, given_back(not_restored=WHY)],
            Verdict.VIOLATED,
            1,
            "h1: NOT RESTORED: thp: it is always and not never",
        ),
        (
            [HELD, TUNED, given_back("left", not_restored={"thp": "cut"})],
            Verdict.UNKNOWN,
            3,
            "h1: not known to be put back: thp",
        ),
        ([HELD, TUNED], Verdict.UNKNOWN, 3, "h1: not known to be put back: thp"),
        (
            [("lease", {"status": "held", "put_in_order": {"not_restored": WHY}})],
            Verdict.VIOLATED,
            1,
            "h1: NOT RESTORED: thp: it is always and not never",
        ),
    ],
)
def test_settings_that_are_not_put_back_are_the_verdict_of_the_run(
    tmp_path: Path, notes: list[tuple[str, dict[str, Any]]], verdict: Verdict, code: int, said: str
) -> None:
    rebuilt = tuned_run(tmp_path, *notes)
    assert [(f.verdict, f.summary) for f in by(rebuilt, "restored")] == [(verdict, said)]
    assert rebuilt.exit_code == code


def test_a_run_that_changed_no_setting_says_nothing_of_it(tmp_path: Path) -> None:
    same = {"thp": {**THP["thp"], "before": "never"}}
    assert by(tuned_run(tmp_path, HELD, ("tuned", {"settings": same}), given_back()), "restored") == []
