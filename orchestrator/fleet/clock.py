"""How far a host's wall clock is from this machine's."""

from __future__ import annotations

import time
from dataclasses import dataclass

from orchestrator.errors import RemoteFailed
from orchestrator.transport import Link

PROBES = 5
ASK_S = 20.0


@dataclass(frozen=True)
class Clock:
    """The host's clock minus this machine's, and by how much that may be wrong: half of the fastest answer."""

    offset_s: float
    error_s: float

    @property
    def proven_s(self) -> float:
        """0 where the two may agree: clocks that are kept by NTP agree better than can be asked over SSH."""
        return 0.0 if abs(self.offset_s) <= self.error_s else self.offset_s


def clock(link: Link, pace: float = 1.0) -> Clock:
    """``pace``: see `Address.pace`. From the fastest of some answers. Raises `LinkError`; RemoteFailed where the host cannot tell."""
    best: Clock | None = None
    for _ in range(PROBES):
        before = time.time()
        begin = time.monotonic()
        done = link.run(["date", "+%s.%N"], timeout_s=ASK_S * pace)
        took = time.monotonic() - begin
        try:
            there = float(done.stdout.split()[-1])
        except (ValueError, IndexError) as e:
            raise RemoteFailed(link.host, f"`date` tells no time: {done.stdout[:40]!r}") from e
        if best is None or took / 2 < best.error_s:
            best = Clock(there - before - took / 2, took / 2)
    assert best is not None
    return best
