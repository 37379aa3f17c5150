"""`failed_hosts: 2` or `failed_hosts: 25%`: the job ends everywhere when it has failed on more hosts than that, hosts that were
lost or found broken among them. Of the hosts on which the job was planned."""

from __future__ import annotations

from typing import Any, Literal

from agents.wire import Entry
from orchestrator.model.outcome import Status
from orchestrator.model.units import kind, percentage
from orchestrator.stops.decision import Decision
from orchestrator.stops.ends import Ends


class FailedHosts:
    scope: Literal["host", "job"] = "job"

    def __init__(self, argument: int | str, hosts: int = 1) -> None:
        self._asked = argument
        self._hosts = hosts
        # a share is of the hosts that there are: of 4 hosts 25% is one, and 20% none
        self._most = argument if isinstance(argument, int) else int(percentage(argument) * hosts + 1e-9)
        self._ends = Ends()
        self._failed: list[str] = []
        self._over = False

    @staticmethod
    def argument(value: Any) -> int | str:
        """How many may fail: a number from 0 on, or a share of the hosts as text."""
        if isinstance(value, str):
            percentage(value)
            return value.strip()
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"expected a number of hosts that may fail, or a share, got {kind(value)}")
        return value

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        lost = entry.kind == "host" and entry.data.get("status") in ("lost", "quarantined")
        end = self._ends.feed(entry, host=host, step=step)
        if not lost and (end is None or end[0] != "failed"):
            return None
        if host not in self._failed:
            self._failed.append(host)
        if self._over or len(self._failed) <= self._most:
            return None
        self._over = True
        word = "host" if len(self._failed) == 1 else "hosts"
        asked = f"at most {self._asked} of {self._hosts} may"
        return Decision(
            f"failed on {len(self._failed)} {word} ({', '.join(self._failed)}), {asked}", Status.STOPPED
        )
