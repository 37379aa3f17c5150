"""`unhealthy: {}`: the job ends on a host that is found broken while it measures: an oops, a lockup, a machine check, memory that
lost bits. With `unhealthy: suspect` also where a host is only suspect, such as one that was throttled."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import kind
from orchestrator.stops.decision import Decision

_LEVELS = ("broken", "suspect")


class Unhealthy:
    """Fed the `health` entries of the agent."""

    scope: Literal["host", "job"] = "host"

    def __init__(self, argument: str, hosts: int = 1) -> None:
        self._levels = _LEVELS[: _LEVELS.index(argument) + 1]
        self._over = False

    @staticmethod
    def argument(value: Any) -> str:
        """The least that ends the job: broken, which is meant where nothing is said, or suspect."""
        if value is None or value == {}:
            return "broken"
        if value not in _LEVELS:
            raise ValueError(f"expected broken or suspect, got {kind(value)}")
        return str(value)

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        if self._over or entry.kind != "health" or entry.data.get("level") not in self._levels:
            return None
        self._over = True
        text = f"{host} is {entry.data['level']}: {entry.data.get('what', '?')}: {entry.data.get('text', '')}"
        return Decision(text, Status.STOPPED)
