"""A blob as it travels: a Zstandard frame, made once and kept in the cache, whatever number of hosts gets it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from functools import lru_cache
from pathlib import Path

from orchestrator.bundle.cache import folder, write_atomically
from orchestrator.errors import SetupError

#: of Zstandard; higher ones save less time on the way than they cost here
LEVEL = 3
_lock = threading.Lock()


def packed(digest: str, source: Path) -> bytes:
    """The frame of the file whose SHA-256 is ``digest``. Thread-safe. Raises OSError, SetupError."""
    with _lock:
        return _travelling(digest, source, pack=True)


def plain(digest: str, source: Path) -> bytes:
    """The file as it is, read once for all hosts. Thread-safe. Raises OSError."""
    with _lock:
        return _travelling(digest, source, pack=False)


def mark(travelling: bytes) -> str:
    """Tells what travels from what another version would have made of the same blob: 16 hex digits."""
    with _lock:
        return _mark(travelling)


def forget() -> None:
    """What this process keeps in its memory. Thread-safe."""
    with _lock:
        _travelling.cache_clear()


@lru_cache(maxsize=4)
def _travelling(digest: str, source: Path, *, pack: bool) -> bytes:
    if not pack:
        return source.read_bytes()
    kept = folder("packed") / f"{digest}.{LEVEL}.zst"
    if kept.is_file():
        return kept.read_bytes()
    import pyarrow as pa

    made: bytes = pa.Codec("zstd", compression_level=LEVEL).compress(source.read_bytes(), asbytes=True)
    # a cache that takes no more is no reason not to send
    with contextlib.suppress(SetupError):
        write_atomically(kept, made)
    return made


@lru_cache(maxsize=4)
def _mark(travelling: bytes) -> str:
    return hashlib.sha256(travelling).hexdigest()[:16]
