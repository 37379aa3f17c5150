"""Units on Ray seats: submitted, streamed back, halted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from orchestrator.engine.drive import drive
from orchestrator.engine.unit import Piece, Unit
from orchestrator.fleet.seat import HOSTS_PER_SEAT, take_seat


class RaySeats:
    """Units on seats in the running Ray; hosts are dealt out over as few seat processes as needed."""

    def __init__(self, hosts: Sequence[str]) -> None:
        count = -(-len(hosts) // HOSTS_PER_SEAT) or 1
        self._seat_of = {h: i % count for i, h in enumerate(hosts)}
        self._seats: dict[int, Any] = {}
        #: stream → its unit and the seat that it comes from
        self._streams: dict[Any, tuple[Unit, Any]] = {}

    def submit(self, unit: Unit) -> None:
        seat = self._seat(unit.address.name)
        stream = seat.drive.options(num_returns="streaming").remote(unit.key, partial(drive, unit))
        self._streams[stream] = (unit, seat)

    def next(self, timeout_s: float) -> tuple[str, Piece | BaseException | None] | None:
        import ray
        from ray.exceptions import RayError

        if not self._streams:
            time.sleep(timeout_s)
            return None
        ready, _ = ray.wait(list(self._streams), num_returns=1, timeout=timeout_s)
        if not ready:
            return None
        stream: Any = ready[0]
        unit, seat = self._streams[stream]
        try:
            ref: Any = next(stream)
            piece: Any = ray.get(ref, timeout=60.0)
        except StopIteration:
            del self._streams[stream]
            return unit.key, None
        except RayError as e:
            del self._streams[stream]
            # its other hosts notice by themselves; by then there may be a new seat under this number
            if self._seats.get(self._seat_of[unit.address.name]) is seat:
                del self._seats[self._seat_of[unit.address.name]]
            return unit.key, e
        else:
            return unit.key, piece

    def halt(self, key: str, reason: str) -> None:
        for unit, seat in self._streams.values():
            if unit.key == key:
                # not waited for: a dead seat shows itself through its stream
                seat.halt.remote(key, reason)

    def _seat(self, host: str) -> Any:
        number = self._seat_of[host]
        if number not in self._seats:
            self._seats[number] = take_seat()
        return self._seats[number]
