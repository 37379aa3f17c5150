"""How a launch ended, as far as its own entries tell: for what counts launches while a run goes on. The report judges more closely
(`results.launch`)."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry

End = Literal["ok", "failed", "stopped", "invalid"]


class Ends:
    """Of all launches that are fed, however their entries are mixed."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str, int], dict[str, Any]] = {}
        #: launches whose host was found broken meanwhile
        self._invalid: set[tuple[str, str, int]] = set()

    def feed(self, entry: Entry, *, host: str, step: str) -> tuple[End, dict[str, Any]] | None:
        """At the end of a launch: how, and its result ({} where it gave none)."""
        key = (host, step, entry.launch)
        if entry.kind == "record" and entry.data.get("type") == "result":
            self._results[key] = entry.data
        if entry.kind == "health" and entry.data.get("level") == "broken":
            self._invalid.add(key)
        if entry.kind == "launch_lost":
            self._results.pop(key, None)
            return "failed", {}
        if entry.kind != "ended":
            return None
        result = self._results.pop(key, {})
        return ("invalid" if key in self._invalid else _how(entry.data, result)), result


def _how(ended: dict[str, Any], result: dict[str, Any]) -> End:
    # a workload without records (`command`) has no result: its exit status decides
    said = result.get("status", "ok")
    if ended.get("reason") == "stopped":
        return "stopped" if said in ("ok", "stopped") else "failed"
    well = ended.get("reason") == "exited" and ended.get("exit", 0) == 0 and said == "ok"
    return "ok" if well else "failed"


def number(value: Any) -> float:
    """0 for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
