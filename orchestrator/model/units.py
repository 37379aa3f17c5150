"""Durations, sizes and percentages as people write them: a number and a unit, always both."""

from __future__ import annotations

import re
from typing import Any

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
#: what people write → what it is called here
_OTHER_WORDS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds", "S"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "M"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours", "H"), "h"),
    **dict.fromkeys(("day", "days", "D"), "d"),
    **dict.fromkeys(("msec", "msecs", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("usec", "µs", "microseconds"), "us"),
}
_OTHER_SIZES = {
    **dict.fromkeys(("K", "k", "KB", "kb", "kib"), "KiB"),
    **dict.fromkeys(("M", "m", "mb", "mib"), "MiB"),
    **dict.fromkeys(("G", "g", "gb", "gib"), "GiB"),
    **dict.fromkeys(("T", "t", "tb", "tib"), "TiB"),
    **dict.fromkeys(("b", "byte", "bytes"), "B"),
}
_PART = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_PART}(us|ms|s|m|h|d))+", re.ASCII)
_DURATION_PART = re.compile(rf"{_PART}(us|ms|s|m|h|d)", re.ASCII)
_NUMBER_AND_WORD = re.compile(rf"\s*{_PART}\s*([^\d\s]+)\s*", re.ASCII)
_SIZE = re.compile(rf"{_PART}({'|'.join(_BYTES)})", re.ASCII)
_PERCENT = re.compile(rf"{_PART}%", re.ASCII)

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+$"
SIZE_PATTERN = rf"^[0-9]+(\.[0-9]+)?({'|'.join(_BYTES)})$"
PERCENT_PATTERN = r"^[0-9]+(\.[0-9]+)?%$"

#: ten years; more than this is a slip of the pen
_LONGEST_S = 10 * 366 * 86400.0
_LARGEST = 1 << 60


class UnitError(ValueError):
    """``str`` says what is wrong, ``hint`` what would be right."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def duration(value: Any) -> float:
    """``"1h30m"`` → 5400.0 seconds. A plain 0 needs no unit."""
    if _is_number(value):
        if value == 0:
            return 0.0
        raise UnitError(f"{value} is not a duration: no unit", f"write {value}s")
    if not isinstance(value, str):
        raise UnitError(f"expected a duration, got {kind(value)}", "such as 500ms, 5s, 30m, 1h30m")
    if _DURATION.fullmatch(value):
        seconds = sum(float(n) * _SECONDS[u] for n, u in _DURATION_PART.findall(value))
        if seconds > _LONGEST_S:
            raise UnitError(f"{value!r} is more than ten years", "")
        return seconds
    raise UnitError(
        f"{value!r} is not a duration",
        _meant(value, _OTHER_WORDS, _SECONDS) or "such as 500ms, 5s, 30m, 1h30m",
    )


def size(value: Any) -> int:
    """``"2GiB"`` → 2147483648 bytes."""
    if _is_number(value):
        raise UnitError(f"{value} is not a size: no unit", f"write {value}B, or such as 64MiB, 2GiB")
    if not isinstance(value, str):
        raise UnitError(f"expected a size, got {kind(value)}", "such as 64MiB, 2GiB")
    if match := _SIZE.fullmatch(value):
        bytes_ = float(match[1]) * _BYTES[match[2]]
        if bytes_ > _LARGEST:
            raise UnitError(f"{value!r} is more than any host has", "")
        return int(bytes_)
    raise UnitError(
        f"{value!r} is not a size", _meant(value, _OTHER_SIZES, _BYTES) or "such as 64MiB, 2GiB, 500MB"
    )


def percentage(value: Any) -> float:
    """``"2%"`` → 0.02. More than 0%, less than 100%."""
    if _is_number(value):
        raise UnitError(f"{value} is not a percentage: no %", f"write {_percent_of(value)}%")
    if not isinstance(value, str):
        raise UnitError(f"expected a percentage, got {kind(value)}", "such as 2%")
    match = _PERCENT.fullmatch(value)
    if not match:
        found = re.search(_PART, value)
        raise UnitError(f"{value!r} is not a percentage", f"write {found[1]}%" if found else "such as 2%")
    share = float(match[1]) / 100
    if not 0 < share < 1:
        raise UnitError(f"{value!r} is not more than 0% and less than 100%", "")
    return share


def in_words(seconds: float) -> str:
    """For people: ``0.5 s``, ``47 s``, ``5 min 20 s``, ``3 h 05 min``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size_in_words(count: int) -> str:
    """For people: ``512 B``, ``180 KiB``, ``4.5 MiB``."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= _BYTES[unit]:
            return f"{count / _BYTES[unit]:.3g} {unit}"
    return f"{count} B"


def kind(value: Any) -> str:
    """What a YAML value is, for people."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {short(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _percent_of(value: float) -> str:
    return f"{value * 100:g}" if 0 < value < 1 else f"{value:g}"


def _meant(text: str, other: dict[str, str], known: dict[str, Any]) -> str:
    """``5 sec`` → ``write 5s``."""
    match = _NUMBER_AND_WORD.fullmatch(text)
    if not match:
        return ""
    unit = match[2] if match[2] in known else other.get(match[2])
    return f"write {match[1]}{unit}" if unit else f"the units are {', '.join(known)}"
