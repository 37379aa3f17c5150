"""Arms that took turns in one process are judged by their ratio in each launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import run_folders as rf

from orchestrator.analysis import check_judge, judge
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import JudgeSpec
from orchestrator.results.rebuild import rebuild

#: the machine gets slower from launch to launch; the arms keep their distance
SLOWER = (1.0, 1.3, 1.7, 2.1, 2.6, 3.0)


def paired(root: Path, arms: Mapping[str, Sequence[float]], **parameters: Any) -> Finding:
    step = rf.step("check", bench="op_check")
    given: dict[str, Any] = {"metric": "ours_ns", "base": "floor_ns", **parameters}
    builder = rf.Builder.make(root, rf.plan([step], [rf.job("check", judges=[rf.judge("paired", **given)])]))
    for number in range(len(next(iter(arms.values())))):
        metrics = [{"metric": m, "value": v[number], "unit": "ns"} for m, v in arms.items()]
        records = [*rf.good_records(step)[:-1], rf.result(metrics=metrics)]
        builder.launch(step, rf.launch_entries(step, number, records))
    rebuilt = rebuild(builder.say("step_done", step).finish())
    (finding,) = [f for f in rebuilt.findings if f.analysis == "paired"]
    return finding


def times(ns: float) -> list[float]:
    return [ns * f for f in SLOWER]


def test_what_slows_both_arms_drops_out(tmp_path: Path) -> None:
    found = paired(tmp_path, {"ours_ns": times(2.2), "floor_ns": times(2.0)}, max_ratio=1.2)
    assert found.verdict is Verdict.HOLDS
    assert (found.value, found.low, found.high) == pytest.approx((1.1, 1.1, 1.1))
    assert found.bound == 1.2
    assert "met" in found.summary


@pytest.mark.parametrize(
    ("bound", "verdict", "word"),
    [
        ({"max_ratio": 1.0}, Verdict.VIOLATED, "missed"),
        ({"max_ratio": 1.1}, Verdict.UNKNOWN, "undecided"),
        ({"max_ratio": 1.3}, Verdict.HOLDS, "met"),
        ({"min_ratio": 1.0}, Verdict.HOLDS, "met"),
        ({"min_ratio": 1.1}, Verdict.UNKNOWN, "undecided"),
        ({"min_ratio": 1.3}, Verdict.VIOLATED, "missed"),
    ],
)
def test_a_bound_within_the_interval_is_undecided(
    tmp_path: Path, bound: dict[str, float], verdict: Verdict, word: str
) -> None:
    arms = {"ours_ns": [2.1, 2.2, 2.3, 2.15, 2.25, 2.2], "floor_ns": [2.0] * 6}
    found = paired(tmp_path, arms, **bound)
    assert found.verdict is verdict
    assert found.summary.endswith(word)


def test_of_several_bases_the_best_of_each_launch_counts(tmp_path: Path) -> None:
    arms = {"ours_ns": [4.0] * 6, "ck_ns": [2.0, 9.0] * 3, "tbb_ns": [8.0, 2.0] * 3}
    assert paired(tmp_path, arms, base="ck_ns,tbb_ns").value == 2.0


def test_a_base_that_is_missing_is_unknown(tmp_path: Path) -> None:
    found = paired(tmp_path, {"ours_ns": times(2.0)}, max_ratio=9)
    assert found.verdict is Verdict.UNKNOWN
    assert "not measured" in found.summary


def core(own: Sequence[bool]) -> dict[str, Sequence[float]]:
    """What tells whose core it was."""
    return {"cal_add_ns": [0.31] * len(own), "cal_adds_ns": [0.08 if o else 0.16 for o in own]}


def test_launches_with_a_core_of_their_own_are_judged_alone(tmp_path: Path) -> None:
    own = [True, False, True, True, False, True]
    arms = {"ours_ns": [1.2 if o else 1.5 for o in own], "floor_ns": [1.0] * 6, **core(own)}
    found = paired(tmp_path, arms, max_ratio=1.3)
    assert found.verdict is Verdict.HOLDS
    assert (found.value, found.low, found.high) == pytest.approx((1.2, 1.2, 1.2))
    assert "2 launch(es) beside a busy sibling left out" in found.summary


def test_where_hardly_a_launch_had_its_core_the_others_are_judged_and_that_is_said(tmp_path: Path) -> None:
    own = [True, False, True, False, False, False]
    arms = {"ours_ns": [1.2 if o else 1.5 for o in own], "floor_ns": [1.0] * 6, **core(own)}
    found = paired(tmp_path, arms, max_ratio=1.3)
    assert found.verdict is Verdict.VIOLATED
    assert found.low == pytest.approx(1.5)
    assert (
        "; beside a busy sibling; 2 launch(es) with a core of their own left out; at most 1.3"
        in found.summary
    )


def test_of_few_launches_all_are_judged(tmp_path: Path) -> None:
    own = [True, False, True, False]
    arms = {"ours_ns": [1.2 if o else 1.5 for o in own], "floor_ns": [1.0] * 4, **core(own)}
    found = paired(tmp_path, arms, max_ratio=1.3)
    assert found.verdict is Verdict.UNKNOWN
    assert (found.low, found.high) == pytest.approx((1.2, 1.5))


def test_where_every_launch_had_its_core_nothing_is_said(tmp_path: Path) -> None:
    arms = {"ours_ns": [1.2] * 4, "floor_ns": [1.0] * 4, **core([True] * 4)}
    assert "sibling" not in paired(tmp_path, arms, max_ratio=1.3).summary


def test_what_the_machine_does_to_the_floor_is_taken_out_and_the_plain_ratio_told(tmp_path: Path) -> None:
    machine = [1.0, 1.6, 1.05, 1.6, 1.0, 1.6]
    arms = {
        "ours_ns": [3.3 * m for m in machine],
        "ours_1t_ns": [3.0] * 6,
        "floor_ns": [2.0 * m for m in machine],
        "floor_1t_ns": [2.0] * 6,
    }
    given: dict[str, Any] = {"base": "ours_1t_ns", "max_ratio": 1.2}
    assert paired(tmp_path / "plain", arms, **given).verdict is Verdict.UNKNOWN
    found = paired(tmp_path / "beside", arms, **given, beside="floor_ns/floor_1t_ns")
    assert found.verdict is Verdict.HOLDS
    assert found.value == pytest.approx(1.1)
    assert "the plain ratio is 1.1 to 1.76" in found.summary


def test_a_launch_without_the_machines_part_does_not_count(tmp_path: Path) -> None:
    found = paired(tmp_path, {"ours_ns": times(2.0), "floor_ns": times(2.0)}, beside="floor_ns/floor_1t_ns")
    assert found.verdict is Verdict.UNKNOWN
    assert "not measured" in found.summary


def test_two_launches_decide_nothing(tmp_path: Path) -> None:
    found = paired(tmp_path, {"ours_ns": [1.0, 1.0], "floor_ns": [1.0, 1.0]}, max_ratio=2)
    assert found.verdict is Verdict.UNKNOWN
    assert "3 are needed" in found.summary


def test_a_ratio_has_one_bound() -> None:
    assert "one of them" in refused(max_ratio=1, min_ratio=1)


def test_beside_is_two_metrics() -> None:
    assert "a slash between them" in refused(beside="floor_ns")


def refused(**parameters: Any) -> str:
    spec = JudgeSpec("paired", {"metric": "a", "base": "b", **parameters})
    assert check_judge(spec) == []
    plan = rf.plan([], [rf.job("check", judges=[spec])])
    tables = rebuild_of_nothing()
    (found,) = [f for f in judge(tables, plan, print) if f.analysis == "paired"]
    assert found.verdict is Verdict.UNKNOWN
    return found.summary


def rebuild_of_nothing() -> Any:
    from orchestrator.model.tables import TABLES
    from orchestrator.results.schema import frame

    return {name: frame(name, []) for name in TABLES}
