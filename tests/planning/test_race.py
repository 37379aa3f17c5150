"""A race job becomes cells: every scenario and bench of its subjects under every detector, within the budget."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.model.race import (
    DETECTORS,
    OVERHEAD_S,
    SHORTEST_S,
    SUBJECTS,
    subjects_of_source,
    too_small,
)
from orchestrator.planning.race import RaceCell, race_cells

SCENARIOS = {"deque": ["deque_two", "deque_three"], "reclaim": ["reclaim_pair"], "ring": ["ring_two"]}


def cells(
    scenarios: dict[str, list[str]] | None = SCENARIOS, threads: int = 1, **settings: Any
) -> list[RaceCell]:
    return race_cells("races", {"budget": "10m", **settings}, threads, scenarios)


def of(made: list[RaceCell], detector: str) -> list[RaceCell]:
    return [c for c in made if c.axes["detector"] == detector]


def test_the_detectors_share_the_budget_and_the_steps_of_each_are_alike() -> None:
    made = cells(subjects=["deque", "reclaim"])
    assert sum(c.seconds + OVERHEAD_S for c in made) == pytest.approx(600, abs=0.1)
    for detector in {c.axes["detector"] for c in made}:
        assert len({c.seconds for c in of(made, detector)}) == 1


def test_a_gate_comes_before_what_is_behind_it_and_once_for_all_subjects() -> None:
    made = of(cells(subjects=["capability", "reclaim", "deque"]), "tsan")
    gates = [c.axes["gate"] for c in made if "gate" in c.axes]
    assert gates == ["baseline_churn", "baseline_task_churn"]
    assert all("gate" in c.axes for c in made[:2])


def test_every_cell_is_told_apart_by_its_axes() -> None:
    made = cells(subjects="all", strategies=["rotate", "pct2"], placements=["compact", "scatter"])
    assert len({tuple(sorted(c.axes.items())) for c in made}) == len(made)


def test_stress_has_at_least_two_threads_and_the_explorer_one() -> None:
    for made, threads in ((cells(), 2), (cells(threads=8), 8)):
        assert {c.threads for c in made if c.variant == "explore"} <= {1}
        assert {c.threads for c in made if c.variant != "explore"} == {threads}


def test_a_budget_that_is_too_small_is_refused_with_what_would_do() -> None:
    with pytest.raises(InputError, match="too little for") as refused:
        cells(budget="1s", subjects="deque")
    least = refused.value.hint.split()[1]
    assert min(c.seconds for c in cells(budget=least, subjects="deque")) >= SHORTEST_S


def test_a_file_belongs_to_the_subject_with_the_longest_beginning() -> None:
    assert subjects_of_source("kernel/deque.c") == ["deque"]
    assert subjects_of_source("kernel/capability_cache.c") == ["capability_cache"]
    assert subjects_of_source("kernel/capability_tree.c") == ["capability"]
    assert subjects_of_source("include/atomics.h") == list(SUBJECTS)


def test_shares_are_of_one_budget() -> None:
    assert sum(d.share for d in DETECTORS.values()) == pytest.approx(1.0)


def test_an_exploration_is_not_pinned_so_that_hosts_that_share_a_machine_do_not_share_a_cpu() -> None:
    assert {c.placement for c in cells() if c.variant == "explore"} == {"none"}


def test_threads_that_stutter_have_the_benches_of_plain_and_an_option_of_the_program() -> None:
    made = cells(subjects=["deque"], detectors=["plain", "stutter"])
    assert [c.settings["bench"] for c in of(made, "stutter")] == [
        c.settings["bench"] for c in of(made, "plain")
    ]
    assert all(c.settings["stutter"] > 0 for c in of(made, "stutter"))
    assert not any("stutter" in c.settings for c in of(made, "plain"))


def test_linearizability_runs_what_records_and_has_no_gates() -> None:
    made = cells(subjects=["deque", "pdac", "ring"], detectors=["linearizability"])
    assert {c.settings["bench"] for c in made} == {"history_deque"}
    assert not any("gate" in c.axes for c in made)


def test_a_budget_that_no_list_of_scenarios_could_make_enough_is_refused_without_one() -> None:
    small = too_small({"budget": "2s"})
    assert small is not None
    assert (small[0], "too little for" in small[1]) == ("budget", True)
    assert too_small({"budget": "10m"}) is None
    # what is wrong otherwise is told by others
    assert too_small({"budget": "soon"}) is None
