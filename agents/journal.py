"""The journal of one launch: append-only, whole lines, a number and a checksum on each.

Written by one process, the supervisor; read by `follow` while it grows, from any byte offset. What
was once visible at an offset never changes: a write that the disk refuses half-way is cut back to the
last whole line, and readers take whole lines only. A long one is in pieces (`agents.segments`); offsets
are those of the whole, whatever became of the piece.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from agents import segments
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

    def __init__(self, path: Path, launch: int, piece_bytes: Optional[int] = None) -> None:
        """``piece_bytes``: a new piece is begun once one is that large; None: never. Raises OSError where
        it cannot be made, FileExistsError where it is there already."""
        self.path = path
        self.launch = launch
        #: bytes in the journal, all of them whole lines
        self.size = 0
        #: pieces that were closed and nobody has taken yet, to pack them
        self.closed: List[Path] = []
        self._piece_bytes = piece_bytes
        #: where the live file begins
        self._start = 0
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
        if self._piece_bytes is not None and self.size - self._start >= self._piece_bytes:
            self._begin_piece()
        try:
            _write_all(self._fd, data)
        except OSError as e:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size - self._start)
            raise JournalFull(e.errno, e.strerror, str(self.path)) from e
        self._seq += count
        self.size += len(data)

    def _begin_piece(self) -> None:
        """Before a write, so that the last line is always in the live file. Where the host will not, the
        piece goes on: it only gets larger."""
        new = self.path.with_name(self.path.name + ".new")
        closed = segments.closed_name(self.path, self._start, self.size)
        try:
            self.sync()
            fd = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        except OSError:
            return
        try:
            self.path.rename(closed)
        except OSError:
            os.close(fd)
            return
        os.close(self._fd)
        self._fd, self._start = fd, self.size
        self.closed.append(closed)
        try:
            new.rename(self.path)
            segments.sync(self.path.parent)
        except OSError as e:
            raise JournalFull(e.errno, e.strerror, str(self.path)) from e

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
    """Whole lines of a journal from a byte offset on, while it grows and whatever its pieces become."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        #: where the next `read` begins
        self.offset = offset
        self._fd = -1
        #: of the piece that is read: where it begins, where it ends (None: it is live), and its bytes where it is packed
        self._start = 0
        self._end: Optional[int] = None
        self._bytes: Optional[bytes] = None

    def read(self, most: int = 1 << 20) -> bytes:
        """Whole lines, b"" where there are none yet (or no file). About ``most`` bytes, but never
        less than one line that is complete. Raises OSError where a packed piece cannot be unpacked."""
        while self._is_open() or self._open():
            # asked before the last look: what was written before it was closed is still read
            over = self._is_over()
            data = self._whole_lines(most)
            if data or not over:
                return data
            if self._end is not None and self.offset < self._end:
                return b""  # a damaged piece: nothing is made up for it
            self.close()
        return b""

    def _whole_lines(self, most: int) -> bytes:
        want = most
        while True:
            at = self.offset - self._start
            data = os.pread(self._fd, want, at) if self._bytes is None else self._bytes[at : at + want]
            cut = data.rfind(b"\n") + 1
            if cut or len(data) < want:
                self.offset += cut
                return data[:cut]
            want *= 2

    def _is_open(self) -> bool:
        return self._fd >= 0 or self._bytes is not None

    def _is_over(self) -> bool:
        """Nothing more is written into the piece that is open, and there is another one."""
        if self._end is not None:
            return True
        try:
            now, mine = self.path.stat(), os.fstat(self._fd)
        except FileNotFoundError:
            return bool(segments.closed(self.path))
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)

    def _open(self) -> bool:
        """The piece in which the offset lies."""
        while True:
            before = segments.closed(self.path)
            try:
                for piece in before:
                    if piece.start <= self.offset < piece.end:
                        self._open_closed(piece)
                        return True
                fd = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                # packed, or closed, between the two looks
                if segments.closed(self.path) != before:
                    continue
                return False
            start = segments.live_start(self.path)
            if start == (before[-1].end if before else 0):
                self._fd, self._start, self._end = fd, start, None
                return self.offset >= self._start or self._give_up()
            os.close(fd)

    def _open_closed(self, piece: segments.Segment) -> None:
        if piece.packed:
            self._bytes = segments.unpacked(piece)
        else:
            self._fd = os.open(piece.path, os.O_RDONLY)
        self._start, self._end = piece.start, piece.end

    def _give_up(self) -> bool:
        """A piece is gone: nothing is made up for it."""
        self.close()
        return False

    def close(self) -> None:
        self._bytes = None
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
