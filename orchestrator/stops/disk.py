"""`disk: 1GiB`: the job ends on a host that has less room left than that where its launches lie, before the disk is full and takes
their last words."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import UnitError, size
from orchestrator.stops.decision import Decision


class Disk:
    scope: Literal["host", "job"] = "host"

    def __init__(self, argument: str, hosts: int = 1) -> None:
        self._asked = argument
        self._least = size(argument)
        self._over = False

    @staticmethod
    def argument(value: Any) -> str:
        """A size, as it was written."""
        if size(value) <= 0:
            raise UnitError(f"{value!r} is no room at all", "such as 1GiB")
        return str(value).strip()

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        free = entry.data.get("disk_free") if entry.kind == "vital" else None
        if self._over or not isinstance(free, int | float) or free >= self._least:
            return None
        self._over = True
        return Decision(f"{free / 2**20:.0f} MiB of disk left on {host}, asked {self._asked}", Status.STOPPED)
