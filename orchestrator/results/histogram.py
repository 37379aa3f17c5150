"""Reading a histogram as HdrHistogram writes it: V2, compressed, base64."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Shares of the columns p50 … p9999 of the table `latencies`.
PERCENTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)

_COOKIE, _COOKIE_COMPRESSED = 0x1C849303, 0x1C849304
#: bits of a cookie that say how long a word is, and nothing else
_WORD = 0xF0
_HEADER = struct.Struct(">iiiiqqd")
_COUNT_BYTES = 9
#: no histogram of 64-bit values has more places: 64 buckets of half of 2^18 steps (5 digits)
_PLACES_MAX = 64 << 17
_SCALE = 1.0


@dataclass(frozen=True)
class Histogram:
    """``lows`` and ``highs``: smallest and largest value of each place that holds something, rising;
    ``counts``: how many there."""

    lows: NDArray[np.int64]
    highs: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def minimum(self) -> float:
        return float(self.lows[0])

    @property
    def maximum(self) -> float:
        return float(self.highs[-1])

    @property
    def mean(self) -> float:
        """Of the middles of the places."""
        middles = (self.lows.astype(float) + self.highs.astype(float)) / 2
        return float(np.average(middles, weights=self.counts))

    def at(self, share: float) -> float:
        """The largest value that cannot be told from the one at this share of all, as HdrHistogram says it."""
        wanted = max(1, int(share * self.total + 0.5))
        place = int(np.searchsorted(np.cumsum(self.counts), wanted))
        return float(self.highs[place])


def decode_histogram(text: str) -> Histogram:
    """Raises ValueError with what is wrong."""
    try:
        packed = base64.b64decode(text, validate=True)
    except ValueError as e:  # also binascii.Error
        raise ValueError(f"is not base64: {e}") from e
    if len(packed) < 8:
        raise ValueError("is too short")
    cookie, length = struct.unpack(">II", packed[:8])
    if cookie & ~_WORD != _COOKIE_COMPRESSED:
        raise ValueError(f"is not a compressed V2 histogram (it begins with {cookie:#x})")
    unpack = zlib.decompressobj()
    try:
        payload = unpack.decompress(packed[8 : 8 + length], _HEADER.size + _PLACES_MAX)
    except zlib.error as e:
        raise ValueError(f"cannot be decompressed: {e}") from e
    return _read(payload)


def _read(payload: bytes) -> Histogram:
    if len(payload) < _HEADER.size:
        raise ValueError("has no header")
    cookie, length, offset, digits, lowest, _, scale = _HEADER.unpack(payload[: _HEADER.size])
    if cookie & ~_WORD != _COOKIE:
        raise ValueError(f"is not of version 2 (it begins with {cookie:#x})")
    if offset != 0 or scale != _SCALE:
        raise ValueError("is shifted or scaled: not supported")
    if not 0 <= digits <= 5 or lowest < 1 or not 0 <= length <= len(payload) - _HEADER.size:
        raise ValueError("has a header that cannot be")
    places, counts = _counts(payload[_HEADER.size : _HEADER.size + length])
    half_bits = max(int(2 * 10**digits - 1).bit_length(), 1) - 1
    unit_bits = int(lowest).bit_length() - 1
    at = np.asarray(places, dtype=np.int64)
    bucket = np.maximum((at >> half_bits) - 1, 0)
    shift = bucket + unit_bits
    if len(at) and int(shift[-1]) + half_bits + 1 > 63:
        raise ValueError("holds values of more than 63 bits")
    lows = (at - (bucket << half_bits)) << shift
    return Histogram(lows, lows + (np.int64(1) << shift) - 1, np.asarray(counts, dtype=np.int64))


def _counts(data: bytes) -> tuple[list[int], list[int]]:
    """Places that hold something, and how many each."""
    places: list[int] = []
    counts: list[int] = []
    place = at = 0
    while at < len(data):
        value, at = _number(data, at)
        if value < 0:
            place -= value
        else:
            if value:
                places.append(place)
                counts.append(value)
            place += 1
        if place > _PLACES_MAX:
            raise ValueError("has more places than there can be")
    return places, counts


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A ZigZag number of 7 bits a byte, lowest first, whose ninth byte holds 8; and where the next begins."""
    value = 0
    for i in range(_COUNT_BYTES):
        if at + i >= len(data):
            raise ValueError("is cut short")
        byte = data[at + i]
        last = i == _COUNT_BYTES - 1
        value |= (byte if last else byte & 0x7F) << (7 * i)
        if last or not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at + i + 1
    raise AssertionError("unreachable")
