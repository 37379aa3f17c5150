"""`duration: 2h`: launches are made for that long on each host, and the one under way is finished."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import UnitError, duration, in_words
from orchestrator.stops.decision import Decision


class Duration:
    """Counts on the host's monotonic clock, from the start of the job's first launch there. It fires at
    the end of a launch: one that is cut short measures nothing."""

    scope: Literal["host", "job"] = "host"

    def __init__(self, argument: float, hosts: int = 1) -> None:
        self._seconds = argument
        self._since: float | None = None
        self._over = False

    @staticmethod
    def argument(value: Any) -> float:
        """Seconds, more than 0."""
        seconds = duration(value)
        if seconds <= 0:
            raise UnitError(f"{value!r} is no time at all", "such as 30m")
        return seconds

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        if self._since is None:
            self._since = entry.mono
        if self._over or entry.kind != "ended" or entry.mono - self._since < self._seconds:
            return None
        self._over = True
        return Decision(f"duration of {in_words(self._seconds)} reached", Status.PASSED)
