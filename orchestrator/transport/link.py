"""What a connection to a host can do: five verbs. `local`, `ssh` and `retrying` are the three that exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Completed:
    """A command that ended on the host. ``exit`` is its status, or minus the signal's number."""

    exit: int
    stdout: bytes
    stderr: bytes


class Streaming(Protocol):
    """A command that is running on the host."""

    def chunks(self) -> Iterator[bytes]:
        """Standard output as it comes, until the command ends. Raises LinkLost when the link does;
        LinkTimeout when nothing at all came for the ``idle_s`` given to ``Link.stream``."""

    def exit(self) -> int:
        """The exit status, after `chunks` is exhausted. Raises LinkLost where none was sent."""

    def stderr(self) -> bytes:
        """At most the last 64 KiB of standard error so far."""


class Link(Protocol):
    """One host, from the moment it is opened. Not thread-safe unless said. Every verb is bounded
    in time and raises only `LinkError`s. ``argv`` is quoted for the remote shell by the link."""

    @property
    def host(self) -> str:
        """The inventory name."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Run to the end and return everything. Never repeated by itself: it may have run."""

    def stream(
        self, argv: Sequence[str], *, stdin: bytes = b"", idle_s: float = 60.0
    ) -> AbstractContextManager[Streaming]:
        """Run and read standard output as it comes; leaving the context ends the channel."""

    def put(self, source: Path, target: str, *, mode: int = 0o644, timeout_s: float = 600.0) -> None:
        """Copy a file to the host: temporary name beside ``target``, flushed, then renamed."""

    def get(self, source: str, target: Path, *, timeout_s: float = 600.0) -> None:
        """Copy a file from the host, in the same manner."""

    def close(self) -> None:
        """Idempotent; never raises."""
