"""The plan: the same input gives the same bytes, and every cell of every host is in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import made_up_hosts as hosts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.wire import Facts
from orchestrator.errors import InputError
from orchestrator.model import reading
from orchestrator.model.inventory import Inventory
from orchestrator.model.names import Names
from orchestrator.model.plan import Launches, Plan
from orchestrator.model.playbook import Playbook
from orchestrator.planning import make_plan
from orchestrator.planning.plan import one_per_core, plan_late
from orchestrator.stops import ARGUMENTS

FLEET = "hosts: {small: {}, big: {labels: {rack: a}}, gone: {}}\ngroups: {numa: {hosts: [big, gone]}}\n"
FACTS: dict[str, Facts] = {"small": hosts.facts(1, 2), "big": hosts.facts(2, 8, 2)}

BOOK: dict[str, Any] = {
    "orch": 1,
    "name": "book",
    "seed": 7,
    "jobs": [
        {
            "name": "later",
            "needs": ["first"],
            "workload": "native",
            "with": {"bench": "b", "ids": "{{ cpus * 2 }}"},
            "threads": "{{ min(cpus, 4) }}",
            "measure": {"seconds": "2s"},
        },
        {
            "name": "first",
            "workload": "native",
            "with": {"ids": 5},
            "matrix": {
                "bench": ["b", "c"],
                "threads": [1, 4],
                "placement": ["compact", "remote"],
                "exclude": [{"threads": 1, "placement": "remote"}],
            },
            "measure": {"warmup": "1s", "seconds": "3s"},
            "launches": 2,
        },
    ],
}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yml"
    path.write_text(FLEET)
    return path


def read(book: dict[str, Any], fleet: Path) -> tuple[Playbook, Inventory]:
    names = Names(ARGUMENTS, ("exposure",))
    return reading.read(json.dumps(book), fleet, names, environ={})


def plan_of(book: dict[str, Any], fleet: Path, facts: dict[str, Facts] | None = None, **options: Any) -> Plan:
    return make_plan(*read(book, fleet), FACTS if facts is None else facts, {"gone": "refused"}, **options)


def test_every_cell_of_every_host_is_in_the_plan_and_ids_are_unique(fleet: Path) -> None:
    plan = plan_of(BOOK, fleet)
    assert len(plan.steps) == 3 * (6 + 1)
    assert len({s.id for s in plan.steps}) == len(plan.steps)
    assert [s.id for s in plan.steps if s.host == "big"][:3] == [
        "first-0000@big",
        "first-0002@big",
        "first-0003@big",
    ]


def test_a_job_stands_after_those_it_needs(fleet: Path) -> None:
    assert [j.name for j in plan_of(BOOK, fleet).jobs] == ["first", "later"]


def test_a_cell_that_the_host_cannot_run_is_there_with_its_reason(fleet: Path) -> None:
    steps = {s.id: s for s in plan_of(BOOK, fleet).steps}
    assert steps["first-0002@small"].skip == "4 threads, the host has 2 CPUs that may be used"
    assert steps["first-0003@big"].skip == ""
    assert steps["first-0003@big"].mem == "node:1"


def test_a_host_without_facts_stays_and_its_cells_are_lost(fleet: Path) -> None:
    plan = plan_of({**BOOK, "where": "cpus >= 16"}, fleet)
    assert plan.hosts == ["big", "gone"]
    assert {s.lost for s in plan.steps if s.host == "gone"} == {"refused"}
    assert {s.skip for s in plan.steps if s.host == "gone"} == {""}


@pytest.mark.parametrize(
    "more", [{}, {"where": "cpus >= 16"}, {"tune": {"smt": "off"}, "lease": "1h"}, {"hosts": "numa"}]
)
def test_a_host_that_answers_late_is_planned_for_as_if_it_had_answered_at_once(
    fleet: Path, more: dict[str, Any]
) -> None:
    book = {**BOOK, **more}
    everybody = {**FACTS, "gone": hosts.facts(2, 16, 2)}
    late = plan_late(
        plan_of(book, fleet), ["first", "later"], *read(book, fleet), {"gone": everybody["gone"]}
    )
    assert late == plan_of(book, fleet, everybody)
    assert {s.lost for s in late.steps} == {""}


def test_of_a_host_that_answers_late_only_what_is_asked_for_is_planned(fleet: Path) -> None:
    before = plan_of(BOOK, fleet)
    late = plan_late(before, ["first"], *read(BOOK, fleet), {"gone": hosts.facts(2, 16, 2)})
    assert {s.job for s in late.steps if s.lost} == {"later"}
    assert [s for s in late.steps if s.host != "gone"] == [s for s in before.steps if s.host != "gone"]


def test_a_host_that_answers_late_and_is_none_of_those_that_were_meant_is_skipped(fleet: Path) -> None:
    book = {**BOOK, "where": "cpus >= 16"}
    late = plan_late(
        plan_of(book, fleet), ["first", "later"], *read(book, fleet), {"gone": hosts.facts(1, 2)}
    )
    assert {s.skip for s in late.steps if s.host == "gone"} == {"`where` does not hold on it"}


def test_templates_are_filled_in_with_the_facts_of_each_host(fleet: Path) -> None:
    steps = {s.id: s for s in plan_of(BOOK, fleet).steps}
    assert (steps["later-0000@small"].settings["ids"], steps["later-0000@small"].threads) == (4, 2)
    assert (steps["later-0000@big"].settings["ids"], steps["later-0000@big"].threads) == (64, 4)
    assert steps["later-0000@gone"].threads == 0


def test_a_template_that_gives_no_number_of_threads_skips_the_cell(fleet: Path) -> None:
    jobs = [{**BOOK["jobs"][0], "needs": [], "threads": "{{ cpus - 2 }}"}]
    steps = {s.id: s for s in plan_of({**BOOK, "jobs": jobs}, fleet).steps}
    assert steps["later-0000@small"].skip == "threads: 0 threads"
    assert steps["later-0000@big"].skip == ""


def test_settings_hold_with_and_axes_but_not_what_places(fleet: Path) -> None:
    step = plan_of(BOOK, fleet).steps[0]
    assert step.settings == {"ids": 5, "bench": "b"}
    assert step.cell == {"bench": "b", "threads": 1, "placement": "compact"}
    assert step.bench == "b"


@pytest.mark.parametrize(
    ("pattern", "limit", "hosts_"),
    [
        ("all", None, ["small", "big", "gone"]),
        ("numa", None, ["big", "gone"]),
        ("all", "numa:!gone", ["big"]),
    ],
)
def test_hosts_are_selected_by_pattern_and_limit(
    fleet: Path, pattern: str, limit: str | None, hosts_: list[str]
) -> None:
    assert plan_of({**BOOK, "hosts": pattern}, fleet, limit=limit).hosts == hosts_


@pytest.mark.parametrize(
    ("where", "hosts_"),
    [
        ("labels.rack == 'a'", ["big", "gone"]),
        ("cpus < 3 or host == 'big'", ["small", "big", "gone"]),
        ("numa_nodes == 2 and cores == 16 and 'avx2' in cpu_flags", ["big", "gone"]),
        ("memory <= 16 * GiB", ["small", "gone"]),
        ("cpus_per_node >= 8 and farthest > 10", ["big", "gone"]),
        ("numa_shape == '2x1' and quota == cpus and last_caches == 0", ["small", "gone"]),
    ],
)
def test_where_selects_over_facts_and_labels(fleet: Path, where: str, hosts_: list[str]) -> None:
    assert plan_of({**BOOK, "where": where}, fleet).hosts == hosts_


@pytest.mark.parametrize(
    ("where", "limit"), [("cpus > 100", "small"), ("cpus > kernel", None), (None, "small:&numa")]
)
def test_a_selection_that_leaves_nothing_or_cannot_be_made_is_an_input_error(
    fleet: Path, where: str | None, limit: str | None
) -> None:
    with pytest.raises(InputError):
        plan_of({**BOOK, **({"where": where} if where else {})}, fleet, limit=limit)


def test_a_jobs_own_hosts_narrow_those_of_the_playbook(fleet: Path) -> None:
    jobs = [{**BOOK["jobs"][1], "hosts": "numa"}]
    assert {s.host for s in plan_of({**BOOK, "jobs": jobs, "hosts": "all:!gone"}, fleet).steps} == {"big"}


def job(**keys: Any) -> dict[str, Any]:
    return {**BOOK, "jobs": [{"name": "j", "workload": "native", "with": {"bench": "b"}, **keys}]}


def test_a_duration_alone_is_one_launch_of_that_length(fleet: Path) -> None:
    plan = plan_of(job(stop=[{"duration": "2h"}, {"violations": 1}], measure={"warmup": "1m"}), fleet)
    step = plan.steps[0]
    assert (step.seconds, step.launches) == (7200, Launches(1, 1))
    assert [s.name for s in plan.jobs[0].stops] == ["violations"]
    assert plan.jobs[0].wall_s > 7260


def test_a_duration_with_a_length_repeats_launches_without_end(fleet: Path) -> None:
    plan = plan_of(job(stop=[{"duration": "2h"}], measure={"seconds": "5s"}), fleet)
    assert (plan.steps[0].seconds, plan.steps[0].launches) == (5, Launches(1, None))
    assert [s.argument for s in plan.jobs[0].stops] == [7200]
    assert plan.estimate_s == 7200


def test_until_without_a_max_has_one_all_the_same(fleet: Path) -> None:
    until = {"min": 5, "until": {"metric": "ops_per_second", "ci": "2%"}}
    plan = plan_of(job(measure={"seconds": "5s"}, launches=until), fleet)
    assert plan.steps[0].launches == Launches(5, 20, "ops_per_second", 0.02)


def test_the_wall_clock_limit_leaves_room_or_is_as_said(fleet: Path) -> None:
    assert plan_of(job(measure={"seconds": "10s"}), fleet).jobs[0].wall_s == 75
    said = plan_of(job(measure={"seconds": "10s"}, limits={"wall": "11s", "memory": "1GiB"}), fleet)
    assert (said.jobs[0].wall_s, said.jobs[0].memory_bytes) == (11, 1 << 30)


def test_variants_are_those_that_the_jobs_use_and_none_for_a_command(fleet: Path) -> None:
    command = {"name": "c", "workload": "command", "with": {"argv": ["true"]}}
    assert plan_of({**BOOK, "jobs": [command]}, fleet).variants == []
    tsan = {**job(measure={"seconds": "1s"}, variant="tsan")["jobs"][0]}
    assert plan_of({**BOOK, "jobs": [command, tsan]}, fleet).variants == ["tsan"]


def test_seeds_differ_from_step_to_step_and_follow_the_playbooks(fleet: Path) -> None:
    seeds = [s.seed for s in plan_of(BOOK, fleet).steps]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)
    assert seeds == [s.seed for s in plan_of(BOOK, fleet).steps]
    assert not set(seeds) & {s.seed for s in plan_of({**BOOK, "seed": 8}, fleet).steps}


def test_a_plan_survives_its_file(fleet: Path) -> None:
    plan = plan_of(BOOK, fleet)
    assert Plan.from_json(json.loads(plan.to_json())) == plan


@given(
    st.permutations(["small", "big"]),
    st.floats(0, 1e9),
    st.integers(0, 1 << 40),
    st.text(max_size=5),
)
def test_volatile_facts_and_the_order_of_answers_change_not_one_byte(
    order: list[str], clock: float, free: int, boot: str
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        fleet = Path(name) / "fleet.yml"
        fleet.write_text(FLEET)
        before = plan_of(BOOK, fleet).to_json()
        moved = {
            h: dataclasses.replace(
                FACTS[h], clock_s=clock, free_memory_bytes=free, load_1m=clock, uptime_s=clock, boot_id=boot
            )
            for h in order
        }
        assert plan_of(BOOK, fleet, moved).to_json() == before


def test_the_file_holds_every_field_of_every_step(fleet: Path) -> None:
    plan = plan_of(BOOK, fleet)
    assert json.loads(plan.to_json())["steps"] == [dataclasses.asdict(s) for s in plan.steps]


def test_a_plan_for_hosts_whose_smt_is_off_has_one_cpu_per_core() -> None:
    on = hosts.facts(cores=2, siblings=2)
    off = one_per_core(on)
    assert len([c for c in on.cpus if c.allowed]) == 4
    assert len([c for c in off.cpus if c.allowed]) == 2
    assert len({(c.package, c.core) for c in off.cpus if c.allowed}) == 2
    assert len(off.cpus) == 4
