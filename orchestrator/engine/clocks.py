"""The clocks of hosts whose launches begin together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orchestrator.engine.survey import on_each
from orchestrator.engine.unit import Unit
from orchestrator.errors import LinkError
from orchestrator.fleet.clock import Clock, clock
from orchestrator.model.address import Address
from orchestrator.transport import Opener, open_link


def with_clocks(
    units: list[Unit],
    forks: int,
    note: Callable[[str, dict[str, Any]], object],
    opener: Opener = open_link,
) -> list[Unit]:
    """The units, knowing their hosts' clocks where a job of theirs begins together. Of one whose clock cannot be told now
    counts what the survey has found, and it is noted."""
    asked = {u.address.name: u.address for u in units if u.job.together}
    if not asked:
        return units
    known = {u.address.name: u.clock_offset_s for u in units}
    offsets: dict[str, float] = {}
    for host, answer in on_each(asked.values(), lambda a: _clock(a, opener), forks).items():
        told = answer if isinstance(answer, Clock) else None
        offsets[host] = told.proven_s if told else known[host]
        data = {"host": host, "offset_s": told.offset_s if told else None, "used_s": offsets[host]}
        why = answer.what if isinstance(answer, LinkError) else ""
        note("clock", {**data, "error_s": told.error_s if told else None, "reason": why})
    return [replace(u, clock_offset_s=offsets.get(u.address.name, u.clock_offset_s)) for u in units]


def _clock(address: Address, opener: Opener) -> Clock:
    if address.local:
        return Clock(0.0, 0.0)
    with contextlib.closing(opener(address)) as link:
        return clock(link, address.pace)
