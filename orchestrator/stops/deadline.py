"""`deadline: "06:00Z"`: what is still going on when the night is over is stopped, by each host's clock, corrected by what it is off; the first 06:00 UTC
after the job began there. With `+02:00` instead of `Z` in another zone, or once and for all: `"2026-11-24T06:00Z"`."""

from __future__ import annotations

import re
from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import UnitError, kind
from orchestrator.stops.decision import Decision

_HINT = 'such as "06:00Z", "06:00+02:00" or "2026-11-24T06:00Z", in quotes'
_TIME = re.compile(
    r"(?:(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})T)?(?P<hour>\d{2}):(?P<minute>\d{2})"
    r"(?:Z|(?P<sign>[+-])(?P<east>\d{2}):(?P<part>\d{2}))\Z"
)
_DAY_S = 86400
#: of a year that has a 29 February
_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Deadline:
    scope: Literal["host", "job"] = "host"

    def __init__(self, argument: str, hosts: int = 1) -> None:
        self._asked = argument
        self._day, self._second = _read(argument)
        self._at: float | None = None
        self._over = False

    @staticmethod
    def argument(value: Any) -> str:
        """As it was written: a time with its zone, with or without a date."""
        if not isinstance(value, str):
            raise UnitError(f"expected a time and its zone, got {kind(value)}", _HINT)
        _read(value.strip())
        return value.strip()

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        if self._at is None:
            self._at = self._after(entry.t)
        if self._over or entry.t < self._at:
            return None
        self._over = True
        return Decision(f"deadline {self._asked} is past", Status.STOPPED)

    def _after(self, t: float) -> float:
        """Seconds since the epoch: the moment itself, or the first of that time of day after ``t``."""
        if self._day is not None:
            return float(self._day * _DAY_S + self._second)
        return t + _DAY_S - (t - self._second) % _DAY_S


def _read(text: str) -> tuple[int | None, int]:
    """Days since the epoch (None: any), and seconds after midnight UTC, perhaps of the day before or after. Raises UnitError."""
    found = _TIME.match(text)
    if found is None:
        raise UnitError(f"expected a time and its zone, got {text!r}", _HINT)
    number = {name: int(value) for name, value in found.groupdict("0").items() if name != "sign"}
    if number["hour"] > 23 or max(number["minute"], number["part"]) > 59 or number["east"] > 14:
        raise UnitError(f"{text!r} is no time of a day and its zone", _HINT)
    second = number["hour"] * 3600 + number["minute"] * 60
    east = number["east"] * 3600 + number["part"] * 60
    second += east if found["sign"] == "-" else -east
    return (_days(number["year"], number["month"], number["day"], text) if found["year"] else None), second


def _days(year: int, month: int, day: int, text: str) -> int:
    """From 1 January 1970 to a date of the Gregorian calendar."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if (
        not year >= 1970
        or not 1 <= month <= 12
        or not 1 <= day <= _MONTHS[month - 1] - (month == 2 and not leap)
    ):
        raise UnitError(f"{text!r} is no date", _HINT)
    before = year - 1
    years = (
        (year - 1970) * 365
        + (before // 4 - before // 100 + before // 400)
        - (1969 // 4 - 1969 // 100 + 1969 // 400)
    )
    return years + sum(_MONTHS[: month - 1]) - (month > 2 and not leap) + day - 1
