"""A wall-clock bound around a call that has none of its own: one thread watches all of them."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator


class _Watch:
    """Calls that are under way, each with its moment. The thread ends when it finds none, and is started again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        #: number → (monotonic seconds, what to call then)
        self._open: dict[int, tuple[float, Callable[[], None]]] = {}
        self._looks_at = float("inf")
        self._thread: threading.Thread | None = None

    def add(self, seconds: float, late: Callable[[], None]) -> int:
        at = time.monotonic() + seconds
        with self._changed:
            number = next(self._numbers)
            self._open[number] = (at, late)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="bounds", daemon=True)
                self._thread.start()
            elif at < self._looks_at:
                self._changed.notify()
        return number

    def remove(self, number: int) -> None:
        with self._changed:
            self._open.pop(number, None)

    def _look(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                late = [n for n, (at, _) in self._open.items() if at <= now]
                calls = [self._open.pop(n)[1] for n in late]
                if not calls:
                    if not self._open:
                        self._thread = None
                        return
                    self._looks_at = min(at for at, _ in self._open.values())
                    self._changed.wait(self._looks_at - now)
            for call in calls:
                call()


_WATCH = _Watch()


@contextlib.contextmanager
def bound(seconds: float, late: Callable[[], None]) -> Iterator[None]:
    """``late`` is called once from another thread where the body takes longer than ``seconds``; it must neither block nor raise."""
    number = _WATCH.add(seconds, late)
    try:
        yield
    finally:
        _WATCH.remove(number)
