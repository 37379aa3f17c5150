"""What a plan leaves on the disk: more of anything is more, and what is not made costs nothing but its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_up_hosts as hosts
import pytest

from orchestrator.model import reading
from orchestrator.model.names import Names
from orchestrator.model.plan import Plan
from orchestrator.model.units import size_in_words
from orchestrator.planning import make_plan
from orchestrator.stops import ARGUMENTS

MIB = 1 << 20


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yml"
    path.write_text("hosts: {a: {}, b: {}}\n")
    return path


def planned(fleet: Path, known: str = "ab", **job: Any) -> Plan:
    jobs = [{"name": "j", "workload": "native", "with": {"bench": "b"}, **job}]
    book = {"orch": 1, "name": "book", "jobs": jobs}
    playbook, inventory = reading.read(json.dumps(book), fleet, Names(ARGUMENTS, ()), environ={})
    facts = {h: hosts.facts(1, 2) for h in known}
    return make_plan(playbook, inventory, facts, {h: "refused" for h in "ab" if h not in known})


def test_more_launches_longer_ones_and_more_hosts_take_more(fleet: Path) -> None:
    short = planned(fleet, measure={"seconds": "1s"}, launches=10).estimate_bytes
    assert 2 * short > planned(fleet, measure={"seconds": "1s"}, launches=20).estimate_bytes > short
    assert planned(fleet, measure={"seconds": "9s"}, launches=10).estimate_bytes > short
    assert planned(fleet, "a", measure={"seconds": "1s"}, launches=10).estimate_bytes < short


def test_a_job_that_repeats_itself_for_a_time_takes_what_that_time_makes(fleet: Path) -> None:
    told = planned(fleet, measure={"seconds": "5s"}, launches=3600 * 10)
    endless = planned(fleet, measure={"seconds": "5s"}, stop=[{"duration": f"{told.estimate_s:.0f}s"}])
    assert endless.estimate_bytes == pytest.approx(told.estimate_bytes, rel=0.01)


def test_intervals_give_way_to_all_else_so_that_one_launch_is_bounded(fleet: Path) -> None:
    fine = planned(fleet, measure={"seconds": "10h", "interval": "10ms"})
    assert 2 * 32 * MIB < fine.estimate_bytes < 2 * 50 * MIB
    less = planned(fleet, measure={"seconds": "10h", "interval": "10ms"}, limits={"journal": "8MiB"})
    assert 2 * 4 * MIB < less.estimate_bytes < 2 * 6 * MIB


def test_it_is_in_the_plan_and_in_what_is_printed(fleet: Path) -> None:
    plan = planned(fleet, measure={"seconds": "1s"}, launches=10)
    assert Plan.from_json(json.loads(plan.to_json())).estimate_bytes == plan.estimate_bytes
    assert [size_in_words(n) for n in (512, 180 << 10, 9 * MIB // 2, 3 << 30)] == [
        "512 B",
        "180 KiB",
        "4.5 MiB",
        "3 GiB",
    ]
