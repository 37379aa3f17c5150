"""`confidence: {per_hour: 0.01, at: 99%}`: the job has had enough when its launches on all hosts together ran so long without a
failure that a rate of `per_hour` failures per host-hour is excluded at that confidence. Once a launch fails that cannot be
reached any more, and the job ends."""

from __future__ import annotations

import math
from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import UnitError, kind, percentage
from orchestrator.stops.decision import Decision
from orchestrator.stops.ends import Ends, number

_HINT = "such as {per_hour: 0.01, at: 99%}"


class Confidence:
    """Counts measured seconds: of a launch under way those of its intervals, afterwards those of its result."""

    scope: Literal["host", "job"] = "job"

    def __init__(self, argument: dict[str, Any], hosts: int = 1) -> None:
        self._rate = float(argument["per_hour"])
        self._at = str(argument.get("at", "99%"))
        self._hours = -math.log(1 - percentage(self._at)) / self._rate
        self._ends = Ends()
        self._done = 0.0
        self._running: dict[tuple[str, str, int], float] = {}
        self._over = False

    @staticmethod
    def argument(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or set(value) - {"per_hour", "at"} or "per_hour" not in value:
            raise UnitError(f"expected per_hour, and at, got {kind(value)}", _HINT)
        rate = value["per_hour"]
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise UnitError(f"per_hour: expected failures per host-hour, above 0, got {kind(rate)}", _HINT)
        percentage(value.get("at", "99%"))
        return dict(value)

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        if self._over:
            return None
        key = (host, step, entry.launch)
        if entry.kind == "record" and (entry.data.get("type"), entry.data.get("phase")) == (
            "interval",
            "measure",
        ):
            self._running[key] = self._running.get(key, 0.0) + number(entry.data.get("dt"))
        end = self._ends.feed(entry, host=host, step=step)
        if end is not None:
            how, result = end
            seen = self._running.pop(key, 0.0)
            if how == "failed":
                self._over = True
                text = f"{step} launch {entry.launch} failed: {self._rate:g} per host-hour can no longer be excluded"
                return Decision(text, Status.STOPPED)
            self._done += number(result.get("seconds")) or number(entry.data.get("seconds")) or seen
        return self._decide()

    def _decide(self) -> Decision | None:
        hours = (self._done + sum(self._running.values())) / 3600
        if hours < self._hours:
            return None
        self._over = True
        text = f"{hours:.3g} host-hours without a failure exclude {self._rate:g} per host-hour at {self._at}"
        return Decision(text, Status.PASSED)
