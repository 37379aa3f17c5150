"""Expressions see names, give values, and can do nothing else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.expression import ExpressionError, parse, template

NAMES = {"cpus": 16, "memory": 64 << 30, "kernel": "6.1", "cpu_flags": ["avx2"], "labels": {"rack": "a"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cpus >= 16 and memory > 32 * GiB", True),
        ("1 < cpus < 10", False),
        ("'avx2' in cpu_flags", True),
        ("labels.rack == 'a' and labels['rack'] in ['a', 'b']", True),
        ("labels.shelf == 'x'", False),
        ("not (cpus == 16)", False),
        ("min(cpus, 8) // 3", 2),
        ("cpus if kernel == '6.1' else 1", 16),
        ("-cpus % 5 + 1", 5),
        ("true", True),
        ("kernel + '-x'", "6.1-x"),
    ],
)
def test_an_expression_gives_a_value(text: str, value: Any) -> None:
    assert parse(text).evaluate(NAMES) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "cpus >=",
            "a b",
            "__import__('os')",
            "cpus.__class__",
            "labels._x",
            "lambda: 1",
            "[x for x in cpu_flags]",
        ),
        *(
            "2 ** 9",
            "1 << 9",
            "f'{cpus}'",
            "(x := 1)",
            "min(cpus, key=1)",
            "cpus is None",
            "b'x'",
            "1j",
            "{'a': 1}",
        ),
        *(
            "open('x')",
            "print",
            "cpus; cpus",
            "x" * 501,
            "+".join(["1"] * 100),
            "(" * 200,
            "labels.rack()",
            "\0",
        ),
    ],
)
def test_what_is_no_expression_or_could_do_something_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text).evaluate(NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "cpus >= 'a'",
        "cpus / 0",
        "nope",
        "9223372036854775807 * 9",
        "cpu_flags * 3",
        "kernel * 3",
        "cpu_flags[9]",
        "min()",
    ],
)
def test_what_cannot_be_answered_is_an_error_that_names_the_expression(text: str) -> None:
    with pytest.raises(ExpressionError, match="`"):
        parse(text).evaluate(NAMES)


def test_an_error_says_where() -> None:
    with pytest.raises(ExpressionError, match="at character 10"):
        parse("cpus == (2 ** 3)")


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        value = parse(text).evaluate(NAMES)
        assert isinstance(value, bool | int | float | str | list | dict | None)


def test_a_template_of_one_expression_keeps_the_type() -> None:
    assert template("{{ cpus }}").evaluate(NAMES) == 16
    assert template("{{ cpus }} on {{ kernel }}").evaluate(NAMES) == "16 on 6.1"
    assert template("{{ cpus > 1 }}!").evaluate(NAMES) == "true!"


def test_a_template_that_is_not_closed_is_refused() -> None:
    with pytest.raises(ExpressionError, match="without"):
        template("{{ cpus }")
