"""A `Link` around a `Link`: opens again what was lost, and repeats what may be repeated, and only that.

Repeated: opening; a verb that raised `Unreachable` (nothing was started then); put and get; run where
the caller says that it is idempotent. Never repeated: a command that may have run, a stream.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrator.errors import LinkLost, LinkTimeout, Unreachable
from orchestrator.transport.link import Completed, Link, Streaming

T = TypeVar("T")

#: another try may help; a refused login or an unknown key stays what it is
_PASSING = (Unreachable, LinkLost, LinkTimeout)


@dataclass(frozen=True)
class Backoff:
    """Waits before the second, third, … try: half to whole of ``first_s`` doubling up to ``most_s``."""

    tries: int = 3
    first_s: float = 0.5
    most_s: float = 8.0
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    def wait(self, failed: int) -> None:
        """``failed`` tries so far, at least 1."""
        whole = min(self.most_s, self.first_s * 2.0 ** (failed - 1))
        self.sleep(whole * (0.5 + 0.5 * self.random()))


class RetryingLink:
    """``opener`` is called for the first verb, and again after the link was lost."""

    def __init__(self, host: str, opener: Callable[[], Link], backoff: Backoff | None = None) -> None:
        self._host = host
        self._opener = opener
        self._backoff = backoff or Backoff()
        self._link: Link | None = None

    @property
    def host(self) -> str:
        return self._host

    def open(self) -> None:
        """Open now rather than at the first verb. Raises the last try's error."""
        self._repeat(lambda _: None, repeatable=True)

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0, idempotent: bool = False
    ) -> Completed:
        return self._repeat(
            lambda link: link.run(argv, stdin=stdin, timeout_s=timeout_s), repeatable=idempotent
        )

    @contextlib.contextmanager
    def stream(self, argv: Sequence[str], *, stdin: bytes = b"", idle_s: float = 60.0) -> Iterator[Streaming]:
        with contextlib.ExitStack() as stack:
            running = self._repeat(
                lambda link: stack.enter_context(link.stream(argv, stdin=stdin, idle_s=idle_s)),
                repeatable=False,
            )
            try:
                yield running
            except _PASSING:
                self._drop(stack)
                raise

    def put(self, source: Path, target: str, *, mode: int = 0o644, timeout_s: float = 600.0) -> None:
        self._repeat(lambda link: link.put(source, target, mode=mode, timeout_s=timeout_s), repeatable=True)

    def get(self, source: str, target: Path, *, timeout_s: float = 600.0) -> None:
        self._repeat(lambda link: link.get(source, target, timeout_s=timeout_s), repeatable=True)

    def close(self) -> None:
        self._drop()

    def _repeat(self, verb: Callable[[Link], T], *, repeatable: bool) -> T:
        failed = 0
        while True:
            started = False
            try:
                link = self._link or self._opener()
                self._link = link
                started = True
                return verb(link)
            except _PASSING as e:
                failed += 1
                self._drop()
                may_have_run = started and not isinstance(e, Unreachable)
                if failed >= self._backoff.tries or (may_have_run and not repeatable):
                    raise
            self._backoff.wait(failed)

    def _drop(self, stack: contextlib.ExitStack | None = None) -> None:
        if stack is not None:
            stack.close()
        link, self._link = self._link, None
        if link is not None:
            link.close()
