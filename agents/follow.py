"""Stream a launch's journal from a byte offset to its `ended`, while it is written."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import List, Optional

from agents import segments
from agents.journal import Reader
from agents.launch import MISSING, STARTING, Launch
from agents.limits import leave_cpus
from agents.wire import WireError, parse_entry

DONE, NO_SUCH_LAUNCH, SUPERVISOR_GONE = 0, 3, 4

#: Whoever reads can tell a quiet launch from a dead connection.
KEEP_ALIVE_S = 4.0

#: Between two looks at the journal: short where something just came, long where nothing does.
_SHORTEST_S, _LONGEST_S = 0.01, 0.2

_ENDED = b'"kind":"ended"'


def follow(launch: Launch, offset: int, out: int = 1) -> int:
    """Write whole journal lines from ``offset`` on to the descriptor ``out``; a blank line where there
    was nothing for KEEP_ALIVE_S. Returns DONE, NO_SUCH_LAUNCH or SUPERVISOR_GONE. Raises
    BrokenPipeError when nobody reads any more."""
    if launch.state() == MISSING:
        return NO_SUCH_LAUNCH
    leave_cpus(launch.measured_cpus())
    reader = Reader(launch.journal, offset)
    waiter = _Waiter(launch)
    try:
        if offset and _stood_at_end(launch, offset):
            return DONE
        launch.hear()
        while True:
            # asked before the last look: what it wrote before it went is still read
            alive = waiter.alive()
            data = reader.read()
            if data:
                _write(out, data)
                if _is_ended(data):
                    return DONE
                waiter.reset()
                continue
            if not alive:
                return SUPERVISOR_GONE
            if waiter.wait():
                _write(out, b"\n")
            waiter.hear()
    finally:
        reader.close()
        waiter.close()


class _Waiter:
    """Sleeps between two looks; wakes at once when the supervisor is gone, where the kernel can tell."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.pid: Optional[int] = None
        self.pidfd = -1
        self.pause = _SHORTEST_S
        self.spoke = time.monotonic()
        self.checked = 0.0
        self.heard = time.monotonic()

    def alive(self) -> bool:
        if self.pidfd >= 0:
            return not self._readable(0.0)
        if self.pid is not None and time.monotonic() - self.checked < 0.5:
            return True
        self.checked = time.monotonic()
        self.pid = self.launch.supervisor()
        if self.pid is None:
            return self.launch.state() == STARTING
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.pidfd = os.pidfd_open(self.pid)
                # the pid may have been given on between the two
                return self.launch.supervisor() == self.pid
        return True

    def reset(self) -> None:
        self.pause = _SHORTEST_S
        self.spoke = time.monotonic()

    def hear(self) -> None:
        """Whoever reads takes what it is given."""
        now = time.monotonic()
        if now - self.heard >= KEEP_ALIVE_S:
            self.heard = now
            self.launch.hear()

    def wait(self) -> bool:
        """True where it is time for a sign of life."""
        if self.pidfd >= 0:
            self._readable(self.pause)
        else:
            time.sleep(self.pause)
        self.pause = min(self.pause * 1.5, _LONGEST_S)
        if time.monotonic() - self.spoke < KEEP_ALIVE_S:
            return False
        self.spoke = time.monotonic()
        return True

    def _readable(self, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(wait_s * 1e3))

    def close(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)


def _stood_at_end(launch: Launch, offset: int) -> bool:
    """The reader has all of a complete journal already."""
    if launch.ended() is None:
        return False
    with contextlib.suppress(OSError):
        return segments.size(launch.journal) == offset
    return False


def _is_ended(data: bytes) -> bool:
    last = _lines(data[-(1 << 16) :])[-1]
    if _ENDED not in last:
        return False
    try:
        return parse_entry(last.decode("ascii")).kind == "ended"
    except (WireError, UnicodeDecodeError):
        return False


def _lines(data: bytes) -> List[bytes]:
    return data.rstrip(b"\n").split(b"\n")


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]
