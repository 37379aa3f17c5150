"""Units on Ray seats: submitted, streamed back, halted."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from orchestrator.engine.drive import drive
from orchestrator.engine.unit import Note, Piece, Unit
from orchestrator.fleet.cluster import RAYS_OWN
from orchestrator.fleet.seat import HOSTS_PER_SEAT, Halt, here_alive, hosts_alive, take_seat
from orchestrator.model.address import Address
from orchestrator.transport import Connections, Link, open_link
from orchestrator.transport.local import LocalLink

#: How often the nodes are asked after.
LOOK_S = 1.0
#: Of Ray's, in the environment of a seat on a host: an agent that it starts outlives the seat, and is no part of the node.
_NOT_HANDED_ON = ("ORCH_NODE_DIR", "PYTHONPATH", *RAYS_OWN)


#: of this process, where it is a seat; they end with it
_ways = Connections(open_link)


class NodeLost(Exception):
    """The host's node is no longer in the cluster; what runs on the host goes on without it."""


class RaySeats:
    """Units on seats in the running Ray. A host whose node has joined has a seat there; the others are dealt out over as few
    seat processes on this machine as needed."""

    def __init__(self, hosts: Sequence[str]) -> None:
        count = -(-len(hosts) // HOSTS_PER_SEAT) or 1
        self._seat_of = {h: i % count for i, h in enumerate(hosts)}
        self._seats: dict[int | str, Any] = {}
        self._joined: set[str] = set()
        self._looked = 0.0
        #: hosts whose nodes were lost and that nobody has been told of yet
        self.lost: list[str] = []
        #: stream → its unit, the seat that it comes from, and that seat's key
        self._streams: dict[Any, tuple[Unit, Any, int | str]] = {}

    def place(self, hosts: Sequence[str]) -> None:
        """From now on these have seats of their own, too. One on a node that was there before is of no use."""
        self._joined |= set(hosts)
        for host in hosts:
            self._seats.pop(host, None)

    def submit(self, unit: Unit) -> None:
        host = unit.address.name
        key: int | str = self._seat_of[host]
        if host in self._joined:
            if host in hosts_alive():
                key = host
            else:
                self._part(host)
        if key not in self._seats:
            self._seats[key] = take_seat(host if key == host else None)
        seat = self._seats[key]
        work = partial(drive_here if key == host else drive_from_here, unit)
        stream = seat.drive.options(num_returns="streaming").remote(unit.key, work)
        self._streams[stream] = (unit, seat, key)

    def next(self, timeout_s: float) -> tuple[str, Piece | BaseException | None] | None:
        import ray
        from ray.exceptions import RayError

        if not self._streams:
            time.sleep(timeout_s)
            return None
        ready, _ = ray.wait(list(self._streams), num_returns=1, timeout=timeout_s)
        if not ready:
            return self._look()
        stream: Any = ready[0]
        unit, seat, key = self._streams[stream]
        try:
            ref: Any = next(stream)
            piece: Any = ray.get(ref, timeout=60.0)
        except StopIteration:
            del self._streams[stream]
            return unit.key, None
        except RayError as e:
            del self._streams[stream]
            # its other hosts notice by themselves; by then there may be a new seat under this number
            if self._seats.get(key) is seat:
                del self._seats[key]
            if isinstance(key, str):
                self._part(key)
            return unit.key, e
        else:
            return unit.key, piece

    def halt(self, key: str, reason: str) -> None:
        for unit, seat, _ in self._streams.values():
            if unit.key == key:
                # not waited for: a dead seat shows itself through its stream
                seat.halt.remote(key, reason)

    def go(self, key: str, at: float) -> None:
        for unit, seat, _ in self._streams.values():
            if unit.key == key:
                seat.go.remote(key, at)

    def _look(self) -> tuple[str, BaseException] | None:
        """A seat whose node is gone may say nothing for ever, and a new one waits for ever where the node of this machine is: raises
        NodeLost then, for that takes another Ray."""
        if time.monotonic() - self._looked < LOOK_S:
            return None
        self._looked = time.monotonic()
        if not here_alive():
            raise NodeLost("the Ray node of this machine is gone")
        away = {key for _, _, key in self._streams.values() if isinstance(key, str)}
        if not away:
            return None
        gone = away - hosts_alive()
        for stream, (unit, _, key) in list(self._streams.items()):
            if key in gone:
                del self._streams[stream]
                self._seats.pop(key, None)
                self._part(str(key))
                return unit.key, NodeLost(f"the Ray node of {key} is gone")
        return None

    def _part(self, host: str) -> None:
        if host in self._joined:
            self._joined.discard(host)
            self.lost.append(host)


def drive_from_here(unit: Unit, halt: Halt) -> Iterator[Piece]:
    """Over SSH: one connection to the host for all that this seat has to do there, now and later."""
    yield from drive(unit, halt, _ways.open)


def drive_here(unit: Unit, halt: Halt) -> Iterator[Piece]:
    """On the host itself; says so first."""
    about = {"host": unit.address.name, "job": unit.job.name, "at": socket.gethostname()}
    yield Note("seat", about)
    yield from drive(unit, halt, open_here)


def open_here(address: Address) -> Link:
    """The host on which this seat is."""
    with contextlib.suppress(OSError):
        # Ray keeps to one CPU; what is started from here may run on all
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return LocalLink(address, ["env", *(word for name in _NOT_HANDED_ON for word in ("-u", name))])
