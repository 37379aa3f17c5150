"""What a launch waits for: signals, where `select` waits for everything else, and a moment that others begin at, too."""

from __future__ import annotations

import contextlib
import os
import signal
import time

#: The longest that a launch waits for others.
LONGEST_WAIT_S = 20.0


class Signals:
    """SIGCHLD and requests to stop, as bytes on a pipe that `select` waits for."""

    STOPS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *self.STOPS):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def take(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.fd, 4096)
        return b""


def wait_until(start_at: float) -> None:
    """Until the wall clock says so; one that is far off, or set meanwhile, delays nobody for long."""
    end = time.monotonic() + LONGEST_WAIT_S
    while True:
        left = min(start_at - time.time(), end - time.monotonic())
        if left <= 0:
            return
        # a sleep takes some 0.1 ms longer than it should
        time.sleep(left / 2 if left < 0.01 else left - 0.005)
