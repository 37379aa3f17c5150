"""Writing a histogram as HdrHistogram does: version 2, compressed, base64; three significant digits."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Dict, Mapping

_COOKIE, _COOKIE_COMPRESSED = 0x1C849303, 0x1C849304
#: Bits of a cookie that say how long a word is.
_WORD = 0x10
_DIGITS = 3
#: log2 of half the steps of a bucket: so many that a step is at most a 10^-3rd of its value
_HALF_BITS = 10


def encode(counts: Mapping[int, int]) -> str:
    """``counts``: value (0 or more, below 2^62) → how often. What is told apart is the value to three digits."""
    places: Dict[int, int] = {}
    for value, count in counts.items():
        if count > 0:
            places[_place(value)] = places.get(_place(value), 0) + count
    body = bytearray()
    at = 0
    for place in sorted(places):
        if place > at:
            body += _number(at - place)  # so many places hold nothing
        body += _number(places[place])
        at = place + 1
    highest = max(2, *counts) if counts else 2
    header = struct.pack(">iiiiqqd", _COOKIE | _WORD, len(body), 0, _DIGITS, 1, highest, 1.0)
    packed = zlib.compress(header + bytes(body))
    return base64.b64encode(struct.pack(">ii", _COOKIE_COMPRESSED | _WORD, len(packed)) + packed).decode()


def _place(value: int) -> int:
    bucket = max(0, value.bit_length() - _HALF_BITS - 1)
    return (bucket << _HALF_BITS) + (value >> bucket)


def _number(value: int) -> bytes:
    """ZigZag, 7 bits a byte, lowest first; a ninth byte holds 8 bits."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest >= 0x80 and len(out) < 8:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
