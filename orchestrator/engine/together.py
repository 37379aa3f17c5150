"""Launches that begin together on all hosts of a job: when everybody is ready, a moment is agreed on, and how far apart they
began is worked out from what the hosts wrote, each by its own clock and corrected by what that is off."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from agents.wire import Entry

#: From the word to the moment: the order has to reach every host, and the agent has to start there.
LEAD_S = 2.0


@dataclass
class Together:
    """One job's meetings. ``go(key, at)`` tells a seat, ``note`` writes down how a meeting went."""

    job: str
    go: Callable[[str, float], None]
    note: Callable[[dict[str, Any]], None]
    #: host → its clock minus ours
    offsets: dict[str, float] = field(default_factory=dict)
    now: Callable[[], float] = time.time
    _ready: dict[str, str] = field(default_factory=dict)
    _round: int = -1
    _at: float = 0.0
    _expected: set[str] = field(default_factory=set)
    _starts: dict[str, float] = field(default_factory=dict)

    def ready(self, host: str, key: str) -> None:
        self._ready[host] = key

    def away(self, host: str) -> None:
        """Its seat died: it will come again, or its job is over."""
        self._ready.pop(host, None)

    def meet(self, hosts: Collection[str]) -> None:
        """All of ``hosts``, which still have something to do, are ready: they go."""
        if not self._ready or not set(hosts) <= set(self._ready):
            return
        self.close()
        self._round += 1
        # in whole microseconds: it is written down and sent around
        self._at = round(self.now() + LEAD_S, 6)
        self._expected, self._starts = set(self._ready), {}
        for key in self._ready.values():
            self.go(key, self._at)
        self._ready = {}

    def heard(self, host: str, entry: Entry) -> None:
        """``entry``: of the journal of a launch; counts where it says that one began."""
        if entry.kind != "started" or host not in self._expected or host in self._starts:
            return
        self._starts[host] = entry.t - self.offsets.get(host, 0.0) - self._at
        if set(self._starts) == self._expected:
            self.close()

    def close(self) -> None:
        """Write down the meeting under way, with whom it lacks."""
        if not self._expected:
            return
        starts = {host: round(late, 6) for host, late in sorted(self._starts.items())}
        skew = round(max(starts.values()) - min(starts.values()), 6) if len(starts) > 1 else None
        missing = sorted(self._expected - set(starts))
        self._expected = set()
        said = {"job": self.job, "round": self._round, "starts": starts, "skew_s": skew}
        self.note({**said, "waited_for": missing})
