"""The journal of one launch: append-only, whole lines, a number and a checksum on each.

Written by one process, the supervisor; read by `follow` while it grows, from any byte offset. What
was once visible at an offset never changes: a write that the disk refuses half-way is cut back to the
last whole line, and readers take whole lines only.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from agents.wire import Entry, WireError, entry_line, parse_entry

#: Between `start` and `end` the journal is flushed to the disk at most this often.
SYNC_EVERY_S = 1.0

#: Kept free for the last words of a launch on a full disk.
RESERVE_BYTES = 32 * 1024

#: `ended` is short; it is looked for in this much of the end of the file.
_TAIL_BYTES = 32 * 1024


class JournalFull(OSError):
    """The journal cannot be written (disk full, quota, gone). It still ends with a whole line."""


class Writer:
    """Not thread-safe. `add` buffers, `flush` writes; a caller flushes once per turn of its loop."""

    def __init__(self, path: Path, launch: int) -> None:
        """Raises OSError where it cannot be made, FileExistsError where it is there already."""
        self.path = path
        self.launch = launch
        #: bytes in the file, all of them whole lines
        self.size = 0
        #: bytes that `flush` will add
        self.waiting = 0
        self._seq = 0
        self._lines: List[str] = []
        self._synced = 0
        self._synced_at = time.monotonic()
        self._reserve = path.with_name("reserve")
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            self._keep_reserve()
        except OSError:
            self.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    def _keep_reserve(self) -> None:
        fd = os.open(self._reserve, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            # not zeros: some file systems do not store those
            _write_all(fd, os.urandom(RESERVE_BYTES))
            os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                self._reserve.unlink()
            raise
        finally:
            os.close(fd)

    @property
    def seq(self) -> int:
        """The number that the next entry gets."""
        return self._seq + len(self._lines)

    def add(
        self, kind: str, data: Dict[str, Any], t: Optional[float] = None, mono: Optional[float] = None
    ) -> None:
        """Raises ValueError or RecursionError for data that cannot be written as JSON; nothing is
        added then."""
        t = time.time() if t is None else t
        mono = time.monotonic() if mono is None else mono
        line = entry_line(Entry(self.seq, self.launch, round(t, 6), round(mono, 6), kind, data))
        self._lines.append(line)
        self.waiting += len(line)

    def flush(self) -> None:
        """Whole lines only. Raises JournalFull, after which what was buffered is gone and the file is
        as it was before."""
        if not self._lines:
            return
        data = "".join(self._lines).encode("ascii")
        count = len(self._lines)
        self._lines.clear()
        self.waiting = 0
        try:
            _write_all(self._fd, data)
        except OSError as e:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise JournalFull(e.errno, e.strerror, str(self.path)) from e
        self._seq += count
        self.size += len(data)

    def sync_due(self, now: float) -> Optional[float]:
        """Seconds until a `sync` is due; None while everything is on the disk."""
        if self._synced == self.size:
            return None
        return max(0.0, self._synced_at + SYNC_EVERY_S - now)

    def sync(self) -> None:
        """Raises JournalFull: some file systems tell of a full disk only here."""
        try:
            os.fsync(self._fd)
        except OSError as e:
            raise JournalFull(e.errno, e.strerror, str(self.path)) from e
        self._synced = self.size
        self._synced_at = time.monotonic()

    def release_reserve(self) -> None:
        """Give the last words their room."""
        with contextlib.suppress(OSError):
            self._reserve.unlink()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Reader:
    """Whole lines of a journal from a byte offset on, while it grows."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        #: where the next `read` begins
        self.offset = offset
        self._fd = -1

    def read(self, most: int = 1 << 20) -> bytes:
        """Whole lines, b"" where there are none yet (or no file). About ``most`` bytes, but never
        less than one line that is complete."""
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return b""
        want = most
        while True:
            data = os.pread(self._fd, want, self.offset)
            cut = data.rfind(b"\n") + 1
            if cut or len(data) < want:
                self.offset += cut
                return data[:cut]
            want *= 2

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def last_entry(path: Path) -> Optional[Entry]:
    """The entry on the last whole line; None where there is none that is short and readable."""
    try:
        with path.open("rb") as f:
            size = f.seek(0, os.SEEK_END)
            f.seek(max(0, size - _TAIL_BYTES))
            tail = f.read()
    except OSError:
        return None
    lines = tail[: tail.rfind(b"\n") + 1].splitlines()
    if not lines or (len(lines) == 1 and size > len(tail)):
        return None
    try:
        return parse_entry(lines[-1].decode("ascii"))
    except (WireError, UnicodeDecodeError):
        return None


def ended(path: Path) -> Optional[Entry]:
    """The `ended` entry of a complete journal, None while there is none."""
    last = last_entry(path)
    return last if last is not None and last.kind == "ended" else None
