"""A bad cable: frames that arrive at one network card leave at another one later, slower, or never.

    python wire.py CARD CARD DELAY_S LOSS RATE      seconds each way · share of frames lost · bytes per second, 0 for no limit

Standard library only, and no kernel module: `tc netem` is often not there. A frame is read and written with its offload header, so that a
checksum that is not there yet, or a frame of 64 KiB that will be cut up, goes through as it is. It says "ready" and runs until it is killed, or
until a card is gone.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ETH_P_ALL = 3
FRAME_BYTES = 1 << 17
#: what waits longer than this for its turn at a slow cable is dropped, as a full queue does
QUEUE_S = 0.5
_GONE = (errno.ENETDOWN, errno.ENXIO, errno.ENODEV)


class Direction:
    """From one card to the other: when each frame may leave."""

    def __init__(self, delay_s: float, loss: float, rate: float) -> None:
        self.delay_s, self.loss, self.rate = delay_s, loss, rate
        self._free_at = 0.0

    def leaves_at(self, size: int, now: float, chance: float) -> float | None:
        """``size`` bytes that came at ``now``; None for a frame that is lost."""
        if chance < self.loss:
            return None
        if self.rate:
            start = max(now, self._free_at)
            if start - now > QUEUE_S:
                return None
            self._free_at = start + size / self.rate
            now = self._free_at
        return now + self.delay_s


def card(name: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    opened.bind((name, ETH_P_ALL))
    opened.setblocking(False)
    return opened


def carry(one: socket.socket, other: socket.socket, delay_s: float, loss: float, rate: float) -> None:
    ways = {
        one.fileno(): (one, other, Direction(delay_s, loss, rate)),
        other.fileno(): (other, one, Direction(delay_s, loss, rate)),
    }
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    number = 0
    poll = select.poll()
    for descriptor in ways:
        poll.register(descriptor, select.POLLIN)
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 3600.0
        for descriptor, _ in poll.poll(pause * 1000.0):
            into, out, way = ways[descriptor]
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame = into.recv(FRAME_BYTES)
                    at = way.leaves_at(len(frame), time.monotonic(), random.random())  # noqa: S311 - no secret
                    if at is not None:
                        number += 1
                        heapq.heappush(waiting, (at, number, out, frame))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _send(*heapq.heappop(waiting)[2:])


def _send(out: socket.socket, frame: bytes) -> None:
    try:
        out.send(frame)
    except OSError as e:
        if e.errno in _GONE:
            raise
        # no room at the card: lost, as on any cable


def main() -> int:
    one, other = sys.argv[1:3]
    delay_s, loss, rate = (float(word) for word in sys.argv[3:6])
    try:
        cards = card(one), card(other)
        print("ready", flush=True)
        carry(*cards, delay_s, loss, rate)
    except OSError as e:
        if e.errno not in _GONE:
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
