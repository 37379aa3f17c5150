"""What a workload prints, however it comes in pieces."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.lines import LONGEST_LINE, LONGEST_TEXT, Line, Splitter, record_of


def fed(splitter: Splitter, whole: bytes, cuts: list[int]) -> list[Line]:
    found: list[Line] = []
    edges = sorted({0, len(whole), *(c % (len(whole) + 1) for c in cuts)})
    for a, b in itertools.pairwise(edges):
        found += splitter.feed(whole[a:b])
    last = splitter.finish()
    return [*found, last] if last else found


@given(st.binary(max_size=200), st.lists(st.integers(0, 10**6), max_size=6))
def test_lines_do_not_depend_on_how_they_come_in(whole: bytes, cuts: list[int]) -> None:
    lines = fed(Splitter(), whole, cuts)
    expected = whole.split(b"\n")
    rest = expected.pop()
    assert [x.raw for x in lines if not x.truncated] == expected
    assert [x.raw for x in lines if x.truncated] == ([rest] if rest else [])


@given(
    st.lists(
        st.sampled_from([0, 1, LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 3 * LONGEST_LINE]),
        max_size=5,
    ),
    st.lists(st.integers(0, 10**6), max_size=6),
)
def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole(
    lengths: list[int], cuts: list[int]
) -> None:
    lines = fed(Splitter(), b"".join(b"x" * n + b"\n" for n in lengths), cuts)
    assert [(len(x.raw), x.cut) for x in lines] == [
        (min(n, LONGEST_LINE), n >= LONGEST_LINE) for n in lengths
    ]


def test_an_endless_line_is_held_in_bounded_memory() -> None:
    splitter = Splitter()
    found = [x for _ in range(1000) for x in splitter.feed(b"x" * 10_000)]
    assert len(found) == 1
    assert len(splitter._rest) <= LONGEST_LINE


@given(st.binary(max_size=20_000))
def test_kept_text_is_short_and_can_be_written_as_json(raw: bytes) -> None:
    text = Line(raw).text
    assert len(text) <= LONGEST_TEXT
    assert json.loads(json.dumps(text)) == text
    assert text == raw.decode("utf-8", "replace")[:LONGEST_TEXT]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.text(max_size=9))
def test_a_record_is_an_object_with_a_type(rest: dict[str, Any], kind: str) -> None:
    value = {**rest, "type": kind}
    assert record_of(Line(json.dumps(value).encode())) == value
    assert record_of(Line(json.dumps(value).encode(), truncated=True)) is None
    assert record_of(Line(json.dumps(value).encode(), cut=True)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        '"type"',
        "{}",
        '{"type":1}',
        '{"type":null}',
        '{"type":"a"',
        '{"type":"a"} x',
        '{"type":"a","x":NaN}',
        '{"type":"a","x":[Infinity]}',
        '{"type":"a","x":-1e999}',
        '\ufeff{"type":"a"}',
    ],
)
def test_what_is_no_record(text: str) -> None:
    assert record_of(Line(text.encode())) is None


@given(st.binary(max_size=100))
def test_no_line_is_too_strange(raw: bytes) -> None:
    record_of(Line(b'{"type":"a","x":' + raw + b"}"))
