"""Durations, sizes and percentages carry their unit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.units import UnitError, duration, in_words, percentage, size


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("5s", 5), ("1h30m", 5400), ("1.5m", 90), ("2d", 172800), (0, 0)]
)
def test_a_duration_is_a_number_and_a_unit(text: Any, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("5 sec", "write 5s"),
        ("5 s", "write 5s"),
        (5, "write 5s"),
        ("2 minutes", "write 2m"),
        ("3w", "the units are us, ms, s, m, h, d"),
        ("-1s", "such as"),
        (True, "such as"),
        ("", "such as"),
        ("999999d", ""),
    ],
)
def test_what_is_no_duration_is_refused_with_what_was_meant(text: Any, hint: str) -> None:
    with pytest.raises(UnitError) as caught:
        duration(text)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(("text", "bytes_"), [("64MiB", 1 << 26), ("2GB", 2_000_000_000), ("1.5KiB", 1536)])
def test_a_size_is_a_number_and_a_unit(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize(("text", "hint"), [("64G", "write 64GiB"), (10, "write 10B"), ("big", "such as")])
def test_what_is_no_size_is_refused(text: Any, hint: str) -> None:
    with pytest.raises(UnitError) as caught:
        size(text)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "hint"),
    [(0.02, "write 2%"), (2, "write 2%"), ("2", "write 2%"), ("0%", ""), ("100%", ""), (None, "such as")],
)
def test_a_percentage_has_its_sign_and_lies_between(text: Any, hint: str) -> None:
    assert percentage("2.5%") == pytest.approx(0.025)
    with pytest.raises(UnitError) as caught:
        percentage(text)
    assert caught.value.hint.startswith(hint)


@given(st.floats(min_value=0, max_value=1e7))
def test_every_length_of_time_can_be_said(seconds: float) -> None:
    assert in_words(seconds)


def test_lengths_of_time_in_words() -> None:
    assert [in_words(s) for s in (0.25, 47.2, 320, 11100)] == ["0.25 s", "47 s", "5 min 20 s", "3 h 05 min"]
