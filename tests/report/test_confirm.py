"""What was found is run again: on another host where there is one, from its token or with its seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import run_folders as rf

from orchestrator.model.plan import JudgeSpec, StepPlan
from orchestrator.report.confirm import LAUNCHES, confirmation, confirmed
from orchestrator.results.rebuild import Rebuilt, rebuild

TOKEN = "0123456789abcdef:deque:deque_fenced:pct2:c11:293:0:-"


def step(number: int, host: str, detector: str = "explore") -> StepPlan:
    cell = {"detector": detector, "subject": "deque", "scenario": "deque_fenced", "bench": "deque_steal"}
    variant = "explore" if detector == "explore" else detector
    bench = "deque_fenced" if detector == "explore" else "deque_steal"
    return rf.step(
        "races",
        number,
        host,
        cell=cell,
        bench=bench,
        settings={"bench": bench},
        variant=variant,
        workload="race",
    )


def found(tmp_path: Path, detector: str, hosts: tuple[str, ...], **violation: Any) -> Rebuilt:
    steps = [step(0, h, detector) for h in hosts]
    job = rf.job("races", workload="race", judges=[JudgeSpec("race", {})])
    builder = rf.Builder.make(tmp_path, rf.plan(steps, [job]))
    for n, s in enumerate(steps):
        broken = [{**rf.violation("S1", "a task ran twice"), **violation}] if n == 0 else []
        records = [rf.hello(s), *broken, rf.result(status="violated" if broken else "ok")]
        builder.launch(s, rf.launch_entries(s, records=records, end=rf.ended(exit=len(broken)))).say(
            "step_done", s
        )
    return rebuild(builder.finish())


def test_an_exploration_is_one_run_from_its_token_on_another_host(tmp_path: Path) -> None:
    book = confirmation(found(tmp_path, "explore", ("h1", "h2"), token=TOKEN))
    assert book is not None
    (job,) = book["jobs"]
    assert (job["hosts"], job["seed"], job["variant"]) == ("h2", 293, "explore")
    assert job["with"] == {"bench": "deque_fenced", "strategy": "pct2", "model": "c11", "executions": 1}


def test_stress_is_repeated_with_its_seed_and_settings(tmp_path: Path) -> None:
    book = confirmation(found(tmp_path, "tsan", ("h1", "h2")))
    assert book is not None
    (job,) = book["jobs"]
    assert (job["hosts"], job["seed"], job["launches"], job["variant"]) == ("h2", 1000, LAUNCHES, "tsan")


def test_the_only_host_runs_it_again_itself_and_it_is_said(tmp_path: Path) -> None:
    first = found(tmp_path / "a", "tsan", ("h1",))
    book = confirmation(first)
    assert book is not None
    again = rf.step("again-0", 0, "h1", bench="deque_steal", variant="tsan")
    builder = rf.Builder.make(tmp_path / "b", rf.plan([again]))
    for n, broken in enumerate([True, False, True]):
        records = [rf.hello(again), *([rf.violation()] if broken else []), rf.result()]
        builder.launch(again, rf.launch_entries(again, n, records))
    (told,) = confirmed(first, rebuild(builder.say("step_done", again).finish()))
    assert (told["host"], told["other"], told["launches"], told["failed"]) == ("h1", False, 3, 2)


def test_where_nothing_was_found_nothing_is_run_again(tmp_path: Path) -> None:
    clean = rf.step("races", 0, cell={"detector": "tsan", "subject": "deque", "bench": "b"}, workload="race")
    job = rf.job("races", workload="race", judges=[JudgeSpec("race", {})])
    assert (
        confirmation(rebuild(rf.Builder.make(tmp_path, rf.plan([clean], [job])).passed(clean).finish()))
        is None
    )
