"""What hosts wrote by clocks of their own, by the controller's: as far as each was off when the run asked it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agents.wire import Entry


def clock_offsets(controller: Iterable[Entry]) -> dict[str, float]:
    """Host → its wall clock minus the controller's, seconds, as the run last noted it. What is told before launches that begin together (`clock`) is nearer than what the survey proves (`host`)."""
    said: dict[str, float] = {}
    for entry in controller:
        key = {"host": "clock_offset_s", "clock": "used_s"}.get(entry.kind)
        offset = entry.data.get(key) if key else None
        if isinstance(offset, int | float):
            said[str(entry.data.get("host"))] = float(offset)
    return said


def by_our_clock(launches: Mapping[int, list[Entry]], offset: float) -> dict[int, list[Entry]]:
    """The entries of a host's launches, with the times that the controller's clock showed."""
    return {n: [replace(e, t=e.t - offset) for e in entries] for n, entries in launches.items()}
