"""Where built things lie on the controller, and how two builders of the same thing keep apart.

ORCH_CACHE, else $XDG_CACHE_HOME/orch, else ~/.cache/orch:

  bundles/<key>/<harness>, variant.json, listing.json    complete, or not there at all
  build/<key>.log                                        the compiler's words of the last try
  agent/<sha256>.pyz
  locks/<key>
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import SetupError


def cache_root() -> Path:
    given = os.environ.get("ORCH_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "orch"


def folder(name: str) -> Path:
    """``name`` below the cache, made where it was missing. Raises SetupError."""
    path = cache_root() / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise SetupError(
            str(path), f"the cache cannot be made: {e.strerror}", "ORCH_CACHE names another place"
        ) from e
    return path


@contextlib.contextmanager
def locked(key: str) -> Iterator[None]:
    """One process at a time per key; the lock ends with its holder, however that ends."""
    path = folder("locks") / key
    with path.open("a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """A reader sees the whole file or none."""
    # hosts are served by threads of one process, which may all find the same missing
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}")
    try:
        temporary.write_bytes(data)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise SetupError(
            str(path), f"the cache cannot be written: {e.strerror}", "ORCH_CACHE names another place"
        ) from e
