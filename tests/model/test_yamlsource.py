"""YAML becomes plain values with their lines; what is ambiguous is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.yamlsource import dotted, read


def test_every_path_has_its_line() -> None:
    source, errors = read("f", "a: 1\nb:\n  - x\n  - {c: 2}\n")
    assert errors == []
    assert source.lines == {(): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4}
    assert source.line(("b", 1, "missing")) == 4


def test_paths_are_written_as_in_jq() -> None:
    assert dotted(("jobs", 0, "with", "bench")) == "jobs[0].with.bench"


def test_a_key_given_twice_is_an_error_with_both_lines() -> None:
    _, errors = read("f", "a: 1\nb: 2\na: 3\n")
    assert [str(e) for e in errors] == ["f:3: a: given twice (first on line 1)"]


def test_anchors_and_merges_work_and_keep_lines() -> None:
    source, errors = read("f", "a: &x {c: 1, d: 1}\nb:\n  <<: *x\n  c: 2\n")
    assert errors == []
    assert source.value["b"] == {"c": 2, "d": 1}
    assert (source.lines["b", "c"], source.lines["b", "d"]) == (4, 1)


def test_scalars_follow_the_core_schema() -> None:
    source, _ = read("f", "[yes, off, 1:30, 2020-01-01, 0x10, 0o10, 1e3, true, ~, 'true', 08]")
    assert source.value == ["yes", "off", "1:30", "2020-01-01", 16, 8, 1000.0, True, None, "true", 8]


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "a: *nothing",
        "a: &a [*a]",
        "a: &a {<<: *a}",
        "? [1]\n: 2",
        "a: !!binary x",
        "[" * 100_000,
        "- " * 100_000,
        "a: 1e999",
        "a: " + "9" * 50,
        "a: 1\n--- 2",
        "<<: 1",
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_crash(text: str) -> None:
    assert read("f", text)[1]


def test_aliases_cannot_multiply_without_bound() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for i in range(1, 9):
        bomb += f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n"
    assert "more than" in str(read("f", bomb)[1][0])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    source, errors = read("f", text)
    assert errors or source.value is None or source.lines
