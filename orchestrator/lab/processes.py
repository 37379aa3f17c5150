"""Processes told apart by pid and start time, so that a number that was given away again is never hit."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_END_S = 10.0


@dataclass(frozen=True)
class Process:
    """``started``: clock ticks from boot to its start, field 22 of /proc/PID/stat."""

    pid: int
    started: int


def spawn(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, pipes: tuple[int, int] | None = None
) -> int:
    """Start in a session of its own, output appended to ``log``; outlives this program. ``pipes``: descriptors for its
    standard input and output, where those are to be no files. Returns the pid."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 2, str(log), append, 0o600),
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, 2, 1),
    ]
    if pipes is not None:
        files[1:] = [(os.POSIX_SPAWN_DUP2, pipes[0], 0), (os.POSIX_SPAWN_DUP2, pipes[1], 1)]
    return os.posix_spawnp(argv[0], list(argv), dict(environment), file_actions=files, setsid=True)


def identify(pid: int) -> Process | None:
    """None where there is no such process, or only what is left of one."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else Process(pid, int(fields[19]))


def alive(process: Process) -> bool:
    return identify(process.pid) == process


def end(process: Process) -> None:
    """SIGKILL, and wait until it is gone (with its namespace, where it was the first process of one)."""
    if alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    gone(process)


def gone(process: Process) -> None:
    """Wait until it has ended."""
    deadline = time.monotonic() + _END_S
    while alive(process) and time.monotonic() < deadline:
        time.sleep(0.005)
    _reap(process.pid)


def parent(process: Process) -> Process | None:
    """None where it has ended, or lost its parent."""
    fields = _stat(process.pid)
    return None if fields is None or not alive(process) or int(fields[1]) <= 1 else identify(int(fields[1]))


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def only_child(pid: int) -> Process | None:
    found = children(pid)
    return identify(found[0]) if found else None


def stands_still(process: Process) -> bool | None:
    """Whether it was stopped by a signal; None where it has ended."""
    fields = _stat(process.pid) if alive(process) else None
    return None if fields is None else fields[0] == "T"


def descendants(process: Process) -> list[Process]:
    """Its children, theirs, and so on, as far as they have not been handed to the first process."""
    found: list[Process] = []
    for child in children(process.pid):
        if (known := identify(child)) is not None:
            found += [known, *descendants(known)]
    return found


def end_marked(mark: str) -> int:
    """End every process of ours with ``NAME=value`` in its environment, or with a value below that
    path. Returns how many. Repeated until there is none, as one may start another meanwhile."""
    ended = 0
    for _ in range(20):
        found = [pid for pid in _pids() if _carries(pid, mark.encode())]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                ended += 1
            _reap(pid)
        if not found:
            break
        time.sleep(0.02)
    return ended


def _pids() -> list[int]:
    own = os.getpid()
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and int(p.name) != own]


def _carries(pid: int, mark: bytes) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    below = mark + b"/"
    return any(v == mark or v.startswith(below) for v in variables) and identify(pid) is not None


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _reap(pid: int) -> None:
    """Where it was a child of this program."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
