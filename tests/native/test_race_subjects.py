"""The table of subjects speaks of benches, settings and scenarios that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.bundle.build import catalogue
from orchestrator.model.race import SUBJECTS

pytestmark = pytest.mark.native

NATIVE = Path(__file__).parents[2] / "native"


def test_every_bench_of_a_subject_is_there_with_its_settings_and_checks_something() -> None:
    benches = {b.name: b for b in catalogue(NATIVE)}
    for subject in SUBJECTS.values():
        for bench in subject.benches:
            assert benches[bench.name].contracts, bench.name
            assert all(benches[bench.name].setting(name) for name in bench.settings), bench
        assert subject.gates
        for gate in subject.gates:
            assert gate.startswith("baseline_")
            assert benches[gate].contracts


def test_every_source_of_a_subject_is_there() -> None:
    for name, subject in SUBJECTS.items():
        for source in subject.sources:
            folder, _, beginning = source.partition("/")
            assert list((NATIVE / folder).glob(f"{beginning}*")), (name, source)


def test_every_scenario_of_the_explorer_is_of_a_subject_that_has_sources() -> None:
    texts = [path.read_text() for path in (NATIVE / "explore").glob("scenario_*.c")]
    named = {n for text in texts for n in re.findall(r'^EXPLORE_SCENARIOS\("(\w+)"', text, re.MULTILINE)}
    assert named
    assert named <= set(SUBJECTS)
