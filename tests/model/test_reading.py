"""Every error of a playbook at once: file, line, YAML path, what, and the nearest valid name.

``cases/*.yml`` is read, what is said of it stands in ``cases/*.txt``; ORCH_REFRESH=1 writes those anew.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis import ANALYSES, check_judge
from orchestrator.errors import InputErrors
from orchestrator.model import reading
from orchestrator.model.names import Names
from orchestrator.model.playbook import Playbook
from orchestrator.stops import ARGUMENTS

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Setting:
    name: str
    type: str
    min: float | None = None
    max: float | None = None
    choices: list[str] | None = None


NAMES = Names(
    ARGUMENTS,
    ANALYSES,
    check_judge,
    benches={
        "capability_check": [
            Setting("ids", "int", 1, 1 << 26),
            Setting("mix", "choice", choices=["hit", "miss"]),
        ],
        "baseline_check": [Setting("ids", "int", 1, 1 << 26)],
        "capability_churn": [],
    },
)
#: Where nobody could be asked for the benches.
ANY_BENCH = replace(NAMES, benches=None)


def said_of(text: str | Path, names: Names = NAMES, **options: Any) -> str:
    try:
        reading.read(text, None, names, environ={}, **options)
    except InputErrors as e:
        return f"{e}\n".replace(f"{CASES}/", "")
    return "OK\n"


def book_of(text: str, **options: Any) -> Playbook:
    return reading.read(text, None, NAMES, **{"environ": {}, **options})[0]


@pytest.mark.parametrize("case", sorted(p.stem for p in CASES.glob("*.yml")))
def test_every_error_is_said_at_once_with_line_path_and_hint(case: str) -> None:
    said = said_of(CASES / f"{case}.yml")
    expected = CASES / f"{case}.txt"
    if os.environ.get("ORCH_REFRESH"):
        expected.write_text(said)
    assert said == expected.read_text()


def test_there_are_cases() -> None:
    assert len(list(CASES.glob("*.yml"))) >= 8


@pytest.mark.parametrize("name", ["quickstart", "smoke", "races", "histories"])
def test_the_playbooks_that_come_along_are_right(name: str) -> None:
    assert said_of(ROOT / "playbooks" / f"{name}.yml", ANY_BENCH) == "OK\n"


ONE = """
orch: 1
name: one
vars: {soak: 2h, n: 4}
jobs:
  - name: a
    workload: command
    with: {argv: ["echo", "{{ n }}", "n is {{ n }}"]}
    threads: "{{ n }}"
    limits: {wall: "{{ soak }}"}
"""


def test_a_whole_expression_keeps_its_type_and_a_part_of_a_text_becomes_text() -> None:
    assert book_of(ONE).jobs[0].settings["argv"] == ["echo", 4, "n is 4"]


def test_the_flag_is_stronger_than_the_environment_and_that_than_the_file() -> None:
    def wall(**options: Any) -> float | None:
        return book_of(ONE, **options).jobs[0].limits.wall

    assert wall() == 7200
    assert wall(environ={"ORCH_VAR_SOAK": "1h"}) == 3600
    assert wall(environ={"ORCH_VAR_SOAK": "1h"}, sets={"soak": "30m"}) == 1800
    assert book_of(ONE, sets={"n": "7"}).jobs[0].threads == 7


def test_setting_a_variable_that_is_not_there_is_an_error() -> None:
    said = said_of(ONE, sets={"soka": "1h"})
    assert said == "--set soka: unknown variable 'soka' (did you mean 'soak'?)\n"


def test_defaults_are_merged_key_by_key_and_the_jobs_own_is_stronger() -> None:
    book = book_of(
        """
orch: 1
name: d
defaults: {workload: native, measure: {warmup: 1s, seconds: 2s}, with: {bench: capability_check}}
jobs: [{name: a, measure: {seconds: 3s}, with: {ids: 5}}]
"""
    )
    job = book.jobs[0]
    assert (job.measure.warmup, job.measure.seconds) == (1, 3)
    assert job.settings == {"bench": "capability_check", "ids": 5}


def test_a_playbook_that_is_written_down_reads_as_the_same() -> None:
    book = reading.read(CASES / "good.yml", None, NAMES, environ={})[0]
    written = json.dumps(book.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    again = reading.read(written, None, NAMES, environ={})[0]
    assert again == book
    assert [s.argument for s in again.jobs[1].stop] == [7200.0, 1]


def test_what_depends_on_a_host_is_left_for_the_plan() -> None:
    book = book_of(
        "orch: 1\nname: x\njobs: [{name: a, workload: command, with: {argv: [x]}, threads: '{{ cpus }}'}]"
    )
    assert book.jobs[0].threads == "{{ cpus }}"


def test_a_limit_that_leaves_no_host_is_an_input_error() -> None:
    assert said_of(ONE, limit="nowhere") == (
        "--limit nowhere: no host or group 'nowhere' in (this machine) (there are all, ungrouped, local)\n"
    )


def test_errors_of_playbook_and_inventory_come_together(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yml"
    fleet.write_text("hosts: {a: {sssh: {}}}\n")
    with pytest.raises(InputErrors) as caught:
        reading.read("orch: 1\nname: x\njobs: []\n", fleet, NAMES, environ={})
    assert [e.what for e in caught.value.errors] == ["is empty", "unknown key 'sssh'"]


@pytest.mark.parametrize(
    "text", ["", "- 1", "just text", "[" * 100_000, "a: &a [*a]", "{{ x }}", "\x00", "a: !!python/name:os x"]
)
def test_what_is_no_playbook_at_all_is_an_input_error(text: str) -> None:
    assert said_of(text) != "OK\n"


YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(
    [
        "name",
        "workload",
        "needs",
        "with",
        "matrix",
        "measure",
        "launches",
        "stop",
        "judge",
        "limits",
        "threads",
    ]
)


@given(st.dictionaries(KEYS, YAML), st.dictionaries(KEYS, YAML))
def test_whatever_stands_in_a_playbook_it_is_read_or_refused(
    job: dict[str, Any], defaults: dict[str, Any]
) -> None:
    text = json.dumps({"orch": 1, "name": "x", "jobs": [job], "defaults": defaults})
    assert said_of(text)


def test_a_scenario_that_is_not_known_may_be_in_a_file_that_does_not_compile() -> None:
    names = replace(NAMES, scenarios=lambda: {"deque": ["deque_two", "scenario_bad.c"]})
    text = "orch: 1\nname: n\njobs: [{name: j, workload: native, variant: explore, with: {bench: BENCH}, measure: {seconds: 1s}}]\n"
    assert said_of(text.replace("BENCH", "deque_two"), names) == "OK\n"
    said = said_of(text.replace("BENCH", "deque_tow"), names)
    assert "unknown scenario 'deque_tow' (scenario_bad.c does not compile; did you mean 'deque_two'?)" in said
