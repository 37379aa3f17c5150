"""`thermal: 90`: the job ends on a host whose hottest sensor shows that many °C in three samples in a row. A host without
sensors is never too hot."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import kind
from orchestrator.stops.decision import Decision

#: One sample may be a sensor's slip.
IN_A_ROW = 3


class Thermal:
    scope: Literal["host", "job"] = "host"

    def __init__(self, argument: int, hosts: int = 1) -> None:
        self._limit = argument
        self._hot = 0

    @staticmethod
    def argument(value: Any) -> int:
        """°C, above 0."""
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1000:
            raise ValueError(f"expected degrees Celsius such as 90, got {kind(value)}")
        return value

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        degrees = entry.data.get("temperature_max") if entry.kind == "vital" else None
        if not isinstance(degrees, int | float):
            return None
        self._hot = self._hot + 1 if degrees >= self._limit else 0
        if self._hot != IN_A_ROW:
            return None
        return Decision(f"{degrees:.0f} °C on {host}, limit {self._limit} °C", Status.STOPPED)
