"""`launches: {min, max, until}`: when a step has been launched often enough."""

from __future__ import annotations

from typing import Any

from agents.wire import Entry
from orchestrator.model.interval import half_width
from orchestrator.model.plan import Launches
from orchestrator.stops.ends import End, Ends

#: A step whose launches only ever fail is not worth more of them.
FAILURES_IN_A_ROW = 3


class LaunchPolicy:
    """Of one step. Fed every entry of its launches; asked after each launch. A failed launch counts towards
    ``max`` and towards nothing else: what it measured is left out, and ``min`` asks for good ones."""

    def __init__(self, launches: Launches, seed: int) -> None:
        self._launches = launches
        self._seed = seed
        self._values: list[float] = []
        self._good = 0
        self._failed = 0
        self._in_a_row = 0
        self._ends = Ends()

    def feed(self, entry: Entry) -> None:
        end = self._ends.feed(entry, host="", step="")
        if end is not None:
            self._end(*end)

    def lost(self) -> None:
        """A launch of which no `ended` will come."""
        self._end("failed", {})

    def forget(self) -> None:
        """The launch under way does not count: another one is made in its place."""
        self._result = None

    @property
    def made(self) -> int:
        """Launches that have ended."""
        return self._good + self._failed

    def done(self) -> str | None:
        """Why no more launches are needed; None where another one is."""
        wanted = self._launches
        if self._in_a_row >= FAILURES_IN_A_ROW:
            return f"{self._in_a_row} launches in a row failed" + self._so_far()
        if wanted.max is not None and self.made >= wanted.max:
            return self._at_max()
        if self._good < wanted.min:
            return None
        if wanted.metric is None or wanted.ci is None:
            return None if wanted.max is None else self._count()
        width = half_width(self._values, self._seed)
        if width is None or width > wanted.ci:
            return None
        return f"ci {width:.1%} after {self._count()}"

    def _end(self, how: End, result: dict[str, Any]) -> None:
        if how == "invalid":
            return  # its host was broken: it counts neither for nor against the program
        if how != "ok":
            self._failed += 1
            self._in_a_row += 1
            return
        self._good += 1
        self._in_a_row = 0
        value = _value(result, self._launches.metric)
        if value is not None:
            self._values.append(value)

    def _at_max(self) -> str:
        wanted = self._launches
        if wanted.metric is None or wanted.max == wanted.min:
            return self._count()
        width = half_width(self._values, self._seed)
        ci = f"ci {width:.1%}" if width is not None else f"too few values of {wanted.metric} for an interval"
        return f"max of {wanted.max} launches reached, {ci}" + self._so_far()

    def _count(self) -> str:
        word = "launch" if self.made == 1 else "launches"
        return f"{self.made} {word}" + self._so_far()

    def _so_far(self) -> str:
        return f", {self._failed} of {self.made} failed" if self._failed else ""


def _value(result: dict[str, Any], metric: str | None) -> float | None:
    metrics = result.get("metrics")
    for one in metrics if isinstance(metrics, list) else []:
        if isinstance(one, dict) and one.get("metric") == metric:
            value = one.get("value")
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
    return None
