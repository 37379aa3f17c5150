"""`violations: 1`: the job ends everywhere when its launches together have violated a contract that often."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.stops.count import count
from orchestrator.stops.decision import Decision


class Violations:
    """A launch prints at most 16 of its violations and counts all of them in its result: the larger of
    the two is what it had."""

    scope: Literal["host", "job"] = "job"

    def __init__(self, argument: int, hosts: int = 1) -> None:
        self._most = argument
        self._printed: dict[tuple[str, str, int], int] = {}
        self._counted: dict[tuple[str, str, int], int] = {}
        self._first = ""
        self._over = False

    @staticmethod
    def argument(value: Any) -> int:
        return count(value)

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        if self._over or entry.kind != "record":
            return None
        key = (host, step, entry.launch)
        if entry.data.get("type") == "violation":
            self._printed[key] = self._printed.get(key, 0) + 1
            contract = str(entry.data.get("contract", "a contract"))
            self._first = self._first or f"{contract} in {step}"
        elif entry.data.get("type") == "result":
            counted = entry.data.get("violations")
            if isinstance(counted, int) and counted > 0:
                self._counted[key] = counted
                self._first = self._first or f"in {step}"
        return self._decide()

    def _decide(self) -> Decision | None:
        keys = {*self._printed, *self._counted}
        total = sum(max(self._printed.get(k, 0), self._counted.get(k, 0)) for k in keys)
        if total < self._most:
            return None
        self._over = True
        word = "violation" if total == 1 else "violations"
        return Decision(f"{total} {word}, the first: {self._first}", Status.STOPPED)
