"""One connection to each host for as long as a run takes: whoever has something to do there borrows it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from orchestrator.errors import LinkLost, LinkTimeout, Unreachable
from orchestrator.model.address import Address
from orchestrator.transport.link import Completed, Link, Streaming

Opener = Callable[[Address], Link]

#: after one of these the connection is not lent again
_BROKEN = (LinkLost, LinkTimeout, Unreachable)


@dataclass
class _Kept:
    link: Link
    borrowers: int = 0
    broken: bool = False


class Connections:
    """Opened when first asked for, closed at the end; one that broke is replaced at the next `open`, and closed when
    nobody uses it any more. A context manager. Thread-safe, as far as the links are (those over SSH are)."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        #: host → held while its connection is being opened
        self._opening: dict[str, threading.Lock] = {}
        self._kept: dict[str, _Kept] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, address: Address) -> Link:
        """A share in the connection to the host; closing it gives the share back. Raises as the opener does."""
        with self._lock:
            opening = self._opening.setdefault(address.name, threading.Lock())
        with opening:
            with self._lock:
                kept = self._kept.get(address.name)
            if kept is None:
                kept = _Kept(self._opener(address))
            with self._lock:
                if not kept.broken:
                    self._kept[address.name] = kept
                kept.borrowers += 1
        return _Share(self, kept)

    def close(self) -> None:
        """Whoever still uses one loses it. Idempotent; never raises."""
        with self._lock:
            kept, self._kept = list(self._kept.values()), {}
        for one in kept:
            one.link.close()

    def spoil(self, kept: _Kept) -> None:
        with self._lock:
            kept.broken = True
            for host in [host for host, other in self._kept.items() if other is kept]:
                del self._kept[host]

    def give_back(self, kept: _Kept) -> None:
        with self._lock:
            kept.borrowers -= 1
            over = kept.broken and kept.borrowers == 0
        if over:
            kept.link.close()


class _Share:
    """A `Link` that others use as well."""

    def __init__(self, connections: Connections, kept: _Kept) -> None:
        self._connections = connections
        self._kept = kept
        self._returned = False

    @property
    def host(self) -> str:
        return self._kept.link.host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        with self._watched() as link:
            return link.run(argv, stdin=stdin, timeout_s=timeout_s)

    @contextlib.contextmanager
    def stream(self, argv: Sequence[str], *, stdin: bytes = b"", idle_s: float = 60.0) -> Iterator[Streaming]:
        with self._watched() as link, link.stream(argv, stdin=stdin, idle_s=idle_s) as running:
            yield running

    def put(self, source: Path, target: str, *, mode: int = 0o644, timeout_s: float = 600.0) -> None:
        with self._watched() as link:
            link.put(source, target, mode=mode, timeout_s=timeout_s)

    def get(self, source: str, target: Path, *, timeout_s: float = 600.0) -> None:
        with self._watched() as link:
            link.get(source, target, timeout_s=timeout_s)

    def close(self) -> None:
        if not self._returned:
            self._returned = True
            self._connections.give_back(self._kept)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[Link]:
        try:
            yield self._kept.link
        except _BROKEN:
            self._connections.spoil(self._kept)
            raise
