"""`failures: 3`: the job ends everywhere when that many of its launches have failed or were lost; `failures: 1` fails fast. Without
it a job goes on, whatever fails."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.stops.count import count
from orchestrator.stops.decision import Decision
from orchestrator.stops.ends import Ends


class Failures:
    """A launch that was stopped has not failed."""

    scope: Literal["host", "job"] = "job"

    def __init__(self, argument: int, hosts: int = 1) -> None:
        self._most = argument
        self._ends = Ends()
        self._failed = 0
        self._first = ""

    @staticmethod
    def argument(value: Any) -> int:
        return count(value)

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        end = self._ends.feed(entry, host=host, step=step)
        if end is None or end[0] != "failed":
            return None
        self._failed += 1
        self._first = self._first or f"{step} launch {entry.launch}"
        if self._failed != self._most:
            return None
        word = "launch" if self._failed == 1 else "launches"
        return Decision(f"{self._failed} {word} failed, the first: {self._first}", Status.STOPPED)
