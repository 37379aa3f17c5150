"""Histograms as another implementation wrote them, and what is no histogram."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest

from orchestrator.results.histogram import PERCENTILES, decode_histogram

#: 0, 1, 1, 2047, 2048, 2049, 10000, 123456789, 3000000000 once each, 777 a million times; 3 digits
SPREAD = "HISTFAAAADd4nJNpmSzMwMAgygABzFCaEch0M9ixgMH+A0SAiaWXp6Gz6qUwE8tBZab3NxmZPnswAQD2sgty"
EMPTY = "HISTFAAAABt4nJNpmSzMgABMUJoRTPI7Odh/gAgAAD95Awo="
#: 5000, 70000, 999999999; 2 digits, and nothing below 1000 is told apart
COARSE = "HISTFAAAACl4nJNpmSzMwMDAwQABTBCK+QWItJ51isH+A0REkOk3I9NJaSYAjUMHAQ=="


def test_a_foreign_histogram_is_read_as_its_maker_reads_it() -> None:
    found = decode_histogram(SPREAD)
    assert found.total == 1_000_009
    assert found.minimum == 0
    assert [found.at(p) for p in PERCENTILES] == [777] * 5
    assert found.maximum == found.at(1) == 3001024511
    assert found.mean == pytest.approx(3900.39, rel=1e-3)


def test_one_without_values_has_none() -> None:
    assert decode_histogram(EMPTY).total == 0


def test_a_coarse_one_keeps_its_steps() -> None:
    found = decode_histogram(COARSE)
    assert (found.total, found.minimum) == (3, 4608)
    assert [found.at(p) for p in (0.01, 0.5, 1)] == [5119, 70143, 1002438655]


def packed(payload: bytes, cookie: int = 0x1C849314) -> str:
    body = zlib.compress(payload)
    return base64.b64encode(struct.pack(">II", cookie, len(body)) + body).decode()


def header(cookie: int = 0x1C849313, length: int = 0, digits: int = 3) -> bytes:
    return struct.pack(">iiiiqqd", cookie, length, 0, digits, 1, 1000, 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HIST",
        "ä",
        "not base64!",
        SPREAD[:40],
        packed(header(), cookie=0x1C849301),
        packed(b"short"),
        packed(header(cookie=0x1C849301)),
        packed(header(digits=9)),
        packed(header(length=5)),
        packed(header(length=1) + b"\x80"),
        packed(header(length=9) + b"\xff" * 8 + b"\x7f"),
    ],
)
def test_what_is_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is|has|holds|cannot"):
        decode_histogram(text)
