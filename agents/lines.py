"""What a workload prints, cut into lines of bounded length and told apart: record or other text."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Optional

#: The harness protocol's longest line, newline included.
LONGEST_LINE = 64 * 1024

#: What an `output` entry keeps of a line.
LONGEST_TEXT = 4096

#: No number of a harness has more digits, and a reader refuses to take some thousands.
_LONGEST_INT = 300


class Line:
    """One line without its newline. ``cut``: it was longer than LONGEST_LINE and its rest is lost;
    ``truncated``: the stream ended before its newline came."""

    __slots__ = ("cut", "raw", "truncated")

    def __init__(self, raw: bytes, cut: bool = False, truncated: bool = False) -> None:
        self.raw = raw
        self.cut = cut
        self.truncated = truncated

    @property
    def text(self) -> str:
        """What is kept where it is no record. Bytes that are not UTF-8 are replaced."""
        return self.raw[: LONGEST_TEXT * 4].decode("utf-8", "replace")[:LONGEST_TEXT]


class Splitter:
    """Bytes in, lines out; never holds more than LONGEST_LINE bytes beside what it was fed."""

    def __init__(self) -> None:
        self._rest = b""
        #: inside a line whose beginning was already given out as cut
        self._skipping = False

    def feed(self, data: bytes) -> List[Line]:
        pieces = (self._rest + data).split(b"\n")
        self._rest = pieces.pop()
        found = []
        for piece in pieces:
            if self._skipping:
                self._skipping = False
            elif len(piece) >= LONGEST_LINE:
                found.append(Line(piece[:LONGEST_LINE], cut=True))
            else:
                found.append(Line(piece))
        if self._skipping:
            self._rest = b""
        elif len(self._rest) >= LONGEST_LINE:
            found.append(Line(self._rest[:LONGEST_LINE], cut=True))
            self._rest, self._skipping = b"", True
        return found

    def finish(self) -> Optional[Line]:
        """The last line where it has no newline."""
        rest, self._rest = self._rest, b""
        return Line(rest, truncated=True) if rest else None


def record_of(line: Line) -> Optional[Dict[str, Any]]:
    """The record on a whole line: a JSON object with a string `type`, of finite numbers. Else None."""
    if line.cut or line.truncated or line.raw.lstrip()[:1] != b"{":
        return None
    try:
        value = _DECODER.decode(line.raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        return value
    return None


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INT:
        raise ValueError("an integer of %d digits" % len(text))
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a finite number: %s" % text)
    return value


def _refuse(text: str) -> float:
    raise ValueError("not a finite number: %s" % text)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_finite, parse_constant=_refuse)
