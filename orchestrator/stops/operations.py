"""`operations: 1000000000`: the job has had enough when its launches on all hosts together have done that many, warm-up not
counted. The launch under way is cut short, and what it has done counts."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import kind
from orchestrator.stops.decision import Decision
from orchestrator.stops.ends import number

#: So many launches without a single operation, and none will ever be counted.
_IN_VAIN = 3


class Operations:
    """A launch counts its operations interval by interval, and all of them in its result: the larger of the two is what it did."""

    scope: Literal["host", "job"] = "job"

    def __init__(self, argument: int, hosts: int = 1) -> None:
        self._wanted = argument
        self._running: dict[tuple[str, str, int], float] = {}
        self._done = 0.0
        self._ended = 0
        self._over = False

    @staticmethod
    def argument(value: Any) -> int:
        """A whole number; 1e9 is one, too."""
        try:
            wanted = float(value) if isinstance(value, str) else value
        except ValueError:
            wanted = None
        if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not 1 <= wanted < 2**63:
            raise ValueError(f"expected a number of operations of at least 1, got {kind(value)}")
        return int(wanted)

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        key = (host, step, entry.launch)
        if entry.kind == "record" and entry.data.get("type") == "interval":
            if entry.data.get("phase") == "measure":
                self._running[key] = self._running.get(key, 0.0) + number(entry.data.get("ops"))
        elif entry.kind == "record" and entry.data.get("type") == "result":
            self._running[key] = max(self._running.get(key, 0.0), number(entry.data.get("ops")))
        elif entry.kind == "ended":
            self._done += self._running.pop(key, 0.0)
            self._ended += 1
        return self._decide()

    def _decide(self) -> Decision | None:
        total = self._done + sum(self._running.values())
        if self._over or (total < self._wanted and (total or self._ended < _IN_VAIN)):
            return None
        self._over = True
        if total < self._wanted:
            return Decision(f"{self._ended} launches have counted no operation", Status.STOPPED)
        return Decision(f"{total:.4g} operations, asked {self._wanted:.4g}", Status.PASSED)
