"""A journal in pieces: the live file, which is written, and beside it what was closed before, packed once there is time for it.

A closed piece is `NAME.START-END`, byte offsets in the journal as a whole, and `.zst` or `.gz` once it is packed. A piece
that is packed is there twice for a moment, never not at all; its bytes are on the disk before the unpacked one goes.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Dict, List, NamedTuple, NoReturn, Optional, Set, Tuple

from agents import limits

#: A journal of the usual 64 MiB is in eight pieces.
_PIECES = 8
_SMALLEST, _LARGEST = 16 * 1024, 16 << 20

_DIGITS = 15
_RANGE = re.compile(r"\.(\d{15})-(\d{15})(\.zst|\.gz)?\Z")
#: Best gain per CPU second for JSON lines.
_ZSTD_LEVEL, _GZIP_LEVEL = "-3", 1
_NICE = 19


class Segment(NamedTuple):
    """Bytes [start, end) of a journal. ``packed``: .zst, .gz or "" """

    start: int
    end: int
    path: Path
    packed: str


def segment_bytes(most: int) -> int:
    """How large a piece gets before it is closed, for a journal that may take ``most``."""
    return max(_SMALLEST, min(_LARGEST, most // _PIECES))


def closed(path: Path) -> List[Segment]:
    """The pieces before the live file ``path``, in order, each once."""
    found: Dict[int, Segment] = {}
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - names, not paths
    except OSError:
        return []
    for name in names:
        told = _RANGE.match(name[len(path.name) :]) if name.startswith(path.name) else None
        if told:
            start, end, packed = int(told.group(1)), int(told.group(2)), told.group(3) or ""
            # what is not packed is read with less effort
            if start not in found or not packed:
                found[start] = Segment(start, end, path.with_name(name), packed)
    return [found[start] for start in sorted(found)]


def closed_name(path: Path, start: int, end: int) -> Path:
    return path.with_name("%s.%0*d-%0*d" % (path.name, _DIGITS, start, _DIGITS, end))


def size(path: Path) -> int:
    """Bytes of the journal as a whole, unpacked. Raises OSError where there is none."""
    while True:
        start = live_start(path)
        total = start + path.stat().st_size
        if live_start(path) == start:
            return total


def live_start(path: Path) -> int:
    """Where the live file begins."""
    before = closed(path)
    return before[-1].end if before else 0


def unpacked(segment: Segment) -> bytes:
    """The bytes of a closed piece. Raises OSError (FileNotFoundError: it was packed just now) or
    EOFError where they cannot be had."""
    if not segment.packed:
        return segment.path.read_bytes()
    if segment.packed == ".gz":
        with gzip.open(segment.path) as f:
            return f.read()
    with segment.path.open("rb") as f:
        done = subprocess.run(["zstd", "-dcq"], stdin=f, capture_output=True, check=False)
    if done.returncode:
        raise OSError(None, "%s: %s" % (segment.path, done.stderr.decode("utf-8", "replace").strip()))
    return done.stdout


class Packer:
    """Packs the closed pieces of one journal, one after the other, in a process of its own beside the supervisor: that one
    never waits for it. By `zstd` where the host has it, else as gzip."""

    def __init__(self) -> None:
        #: what is still to be done
        self.waiting: List[Path] = []
        self._program = shutil.which("zstd")
        self._suffix = ".zst" if self._program else ".gz"
        self._pid = 0
        self._source: Optional[Path] = None
        self._part: Optional[Path] = None

    def pids(self) -> Set[int]:
        """Processes that are the agent's own, and nothing of the workload's."""
        return {self._pid} if self._pid else set()

    def turn(self) -> None:
        """Begin with the next one where nothing is under way. What cannot be packed stays as it is."""
        if self._pid or not self.waiting:
            return
        self._source = self.waiting.pop(0)
        self._part = self._source.with_name(self._source.name + ".part")
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return
        if pid == 0:
            _pack(parent, self._program, self._source, self._part)
        self._pid = pid

    def reaped(self, ended: "Dict[int, Tuple[int, int]]") -> None:
        """Told of processes that have ended: pid → (wait status, …)."""
        if self._pid not in ended:
            return
        status = ended[self._pid][0]
        self._pid = 0
        source, part = self._source, self._part
        assert source is not None
        assert part is not None
        try:
            if status != 0:
                raise OSError(None, "wait status %d" % status)
            sync(part)
            part.rename(source.with_name(source.name + self._suffix))
            sync(source.parent)
            source.unlink()
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()

    def close(self) -> None:
        """End what is under way: the launch is over, and the next one is to have the host to itself."""
        self.waiting.clear()
        if self._pid:
            limits.send([self._pid], signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self.reaped({self._pid: (signal.SIGKILL, 0)})


def _pack(parent: int, program: Optional[str], source: Path, part: Path) -> NoReturn:
    """In a forked child, which never returns."""
    code = 1
    try:
        limits.die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.nice(_NICE)
        if program:
            words = [program, "-q", "-f", _ZSTD_LEVEL, "-o", str(part), str(source)]
            os.execv(program, words)  # noqa: S606 - no shell is wanted
        with source.open("rb") as f, gzip.open(part, "wb", compresslevel=_GZIP_LEVEL) as out:
            shutil.copyfileobj(f, out, 1 << 20)
        code = 0
    finally:
        os._exit(code)


def sync(path: Path) -> None:
    """A file or a folder, onto the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
