"""Journal lines: read back as written, and no damage goes unseen."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.wire import (
    ENTRY_KINDS,
    Entry,
    Facts,
    Limits,
    Order,
    WireError,
    decode,
    dumps,
    encode,
    entry_line,
    parse_entry,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | finite | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x, max_size=4),
    max_leaves=12,
)
entries = st.builds(
    Entry,
    seq=st.integers(0, 2**53),
    launch=st.integers(0, 1000),
    t=st.floats(0, 1e11),
    mono=st.floats(0, 1e9),
    kind=st.sampled_from(ENTRY_KINDS),
    data=st.dictionaries(st.text(max_size=8), values, max_size=5),
)


@given(entries)
def test_an_entry_is_read_back_as_it_was_written(entry: Entry) -> None:
    line = entry_line(entry)
    assert line.endswith("\n")
    assert line.isascii()
    assert line.count("\n") == 1
    assert parse_entry(line) == entry
    assert parse_entry(line.rstrip("\n")) == entry


@given(entries, st.data())
def test_no_flipped_bit_goes_unseen(entry: Entry, data: st.DataObject) -> None:
    raw = bytearray(entry_line(entry).rstrip("\n").encode())
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises((WireError, UnicodeDecodeError)):
        parse_entry(raw.decode())


@given(entries, st.data())
def test_no_cut_line_is_taken_for_a_whole_one(entry: Entry, data: st.DataObject) -> None:
    line = entry_line(entry).rstrip("\n")
    with pytest.raises(WireError):
        parse_entry(line[: data.draw(st.integers(0, len(line) - 1))])


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        parse_entry(text)


def test_a_number_that_json_does_not_know_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        entry_line(Entry(0, 0, 0.0, 0.0, "record", {"x": math.nan}))


orders = st.builds(
    Order,
    protocol=st.just(1),
    run=st.text(max_size=5),
    host=st.text(max_size=5),
    job=st.text(max_size=5),
    step=st.text(max_size=5),
    launch=st.integers(0, 9),
    workload=st.text(max_size=5),
    settings=st.dictionaries(st.text(max_size=5), values, max_size=3),
    program=st.text(max_size=5),
    threads=st.integers(1, 64),
    cpus=st.lists(st.integers(0, 63), max_size=8),
    mem=st.sampled_from(["local", "interleave", "node:1"]),
    warmup_s=finite,
    seconds=finite,
    interval_s=finite,
    seed=st.integers(0, 2**64 - 1),
    limits=st.builds(Limits, wall_s=finite, memory_bytes=st.none() | st.integers(0, 2**50)),
    env=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@given(orders)
def test_an_order_is_read_back_as_it_was_written(order: Order) -> None:
    assert decode(Order, json.loads(dumps(encode(order)))) == order


@given(orders, st.data())
def test_a_field_that_is_missing_or_of_another_type_is_named(order: Order, data: st.DataObject) -> None:
    optional = {f.name for f in dataclasses.fields(Order) if f.default is not dataclasses.MISSING}
    name = data.draw(
        st.sampled_from(sorted({f.name for f in dataclasses.fields(Order)} - optional - {"env"}))
    )
    value: dict[str, Any] = encode(order)
    if data.draw(st.booleans()):
        del value[name]
    else:
        value[name] = object()
    with pytest.raises(WireError, match=rf"Order\.{name}: "):
        decode(Order, value)


def test_what_a_newer_peer_adds_is_ignored_and_what_it_may_leave_out_is_made_up() -> None:
    limits = decode(Limits, {"wall_s": 5, "added_later": True})
    assert limits == Limits(5.0)
    assert isinstance(limits.wall_s, float)


@pytest.mark.parametrize("value", [True, "1", None, [1], 1.5])
def test_an_integer_is_an_integer(value: Any) -> None:
    with pytest.raises(WireError, match=r"Limits\.core_bytes"):
        decode(Limits, {"wall_s": 1, "core_bytes": value})


def test_facts_of_an_older_agent_have_no_product() -> None:
    assert {f.name: f.default for f in dataclasses.fields(Facts)}["product"] == ""
