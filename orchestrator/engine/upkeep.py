"""A watch that lasts for days: what refers to itself in a circle, and memory that is kept at hand for later, is given up once a minute.
Arrow has an allocator of its own, which keeps megabytes after every journal that it has read; for the time it takes its memory from the C
library, as everybody."""

from __future__ import annotations

import ctypes
import gc
import linecache
import time
from collections.abc import Callable
from typing import Self

EVERY_S = 60.0
#: glibc's, where that is the C library: pages of which nothing is in use go back to the system
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


class Upkeep:
    """Of this process, while it is open. Python itself looks through old objects only when there are a quarter more of them, and it
    takes hundreds of faults to make so many. What was there before is left out, so that a look takes less than a millisecond,
    however large the plan is. And the C library keeps what was free between two things in use: with every thread that comes and goes
    it may be some pages more."""

    def __init__(self, every_s: float = EVERY_S, now: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._now = every_s, now
        self._last = now()

    def __enter__(self) -> Self:
        import pyarrow as pa

        self._pool = pa.default_memory_pool()
        pa.set_memory_pool(pa.system_memory_pool())
        gc.freeze()
        return self

    def __exit__(self, *_: object) -> None:
        import pyarrow as pa

        gc.unfreeze()
        pa.set_memory_pool(self._pool)

    def turn(self) -> None:
        """To be called often; most of the time it does nothing."""
        if self._now() - self._last >= self._every_s:
            linecache.clearcache()  # whole sources, of every traceback that was logged
            gc.collect()
            if _trim is not None:
                _trim(0)
            self._last = self._now()
