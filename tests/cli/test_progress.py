"""What is left of a run, from what was planned and what has been done."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from made_up_units import job, step

from agents.wire import Entry
from orchestrator.cli.progress import Progress
from orchestrator.engine.unit import Unit
from orchestrator.model.address import Address
from orchestrator.model.plan import Launches, Plan, StepPlan, StopSpec
from orchestrator.report.board import OVERHEAD_S, si

COST = 1.0 + OVERHEAD_S


def shown(steps: list[StepPlan], stops: list[StopSpec] | None = None) -> tuple[Progress, Unit]:
    progress = Progress()
    jobs = [job("a", stops=stops or [])]
    progress.planned(Plan(1, "p", 1, ["h"], [], jobs, [], 1.0, steps))
    return progress, Unit("r", 1, Address("h"), "/s", "/a", {}, jobs[0], tuple(steps))


def ended(progress: Progress, unit: Unit, step_: str, launch: int) -> None:
    entry: Any = Entry(0, launch, 0.0, 0.0, "ended", {"reason": "exited"})
    progress.entry(unit, step_, entry)


def test_the_time_left_goes_down_with_every_launch() -> None:
    s = step("a", "h", launches=Launches(3, 3))
    progress, unit = shown([s])
    assert progress.remaining(progress.hosts["h"]) == pytest.approx(3 * COST)
    ended(progress, unit, s.id, 0)
    assert progress.remaining(progress.hosts["h"]) == pytest.approx(2 * COST)


def test_launches_beyond_the_least_add_to_the_plan() -> None:
    s = step("a", "h", launches=Launches(1, 5, "m", 0.01))
    progress, unit = shown([s])
    for launch in range(3):
        ended(progress, unit, s.id, launch)
    host = progress.hosts["h"]
    assert host.planned_s == pytest.approx(3 * COST)
    assert host.done_s == pytest.approx(3 * COST)


def test_a_job_that_goes_on_for_a_time_has_that_time_left_however_many_cells() -> None:
    steps = [step("a", "h", n, launches=Launches(1, None)) for n in range(2)]
    progress, unit = shown(steps, [StopSpec("duration", 60.0)])
    assert progress.remaining(progress.hosts["h"]) == 60.0
    ended(progress, unit, steps[0].id, 0)
    assert progress.remaining(progress.hosts["h"]) == 60.0 - COST


def test_cells_that_do_not_run_cost_nothing() -> None:
    progress, _ = shown([step("a", "h", skip="64 threads"), step("a", "h", 1, lost="unreachable")])
    assert progress.remaining(progress.hosts["h"]) == 0.0


def test_figures_have_three_digits_and_a_letter() -> None:
    assert [si(v) for v in (999.0, 12_345.0, 3.2e6, 4.56e9)] == ["999 ", "12.3 k", "3.2 M", "4.56 G"]


def test_a_lost_link_and_a_lost_node_are_said_and_so_is_their_return() -> None:
    progress, unit = shown([step("a", "h")])
    progress.out = StringIO()
    progress.began(unit)
    for status, reason in (("away", "the connection is gone"), ("back", "after 3 s")):
        progress.note("reach", {"host": "h", "job": "a", "status": status, "reason": reason})
    for status, reason in (("full", "No space left"), ("room", "after 12 s")):
        progress.note("reach", {"host": "h", "job": "a", "status": status, "reason": reason})
        assert (progress.hosts["h"].state == "full") is (status == "full")
    for status, reason in (("joined", ""), ("lost", "no answer"), ("joined", "again"), ("parted", "")):
        progress.note("node", {"host": "h", "status": status, "reason": reason})
    progress.note("node", {"host": "", "status": "lost", "reason": "its process ended"})
    assert progress.out.getvalue().splitlines() == [
        "orch: h: out of reach: the connection is gone",
        "orch: h: within reach again after 3 s",
        "orch: h: no room on its disk: No space left",
        "orch: h: room on its disk again after 12 s",
        "orch: h: its Ray node is lost: no answer",
        "orch: h: its Ray node has joined again",
        "orch: Ray is lost: its process ended; what the hosts do goes on, and another Ray is started",
    ]
