"""What one launch may use, and how all of it is ended: the process tree, its memory, its core dump."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Set

try:
    import ctypes
except ImportError:  # a Python that was built without libffi
    ctypes = None  # type: ignore[assignment] # a Python built without it still runs the agent

#: Between SIGTERM and SIGKILL.
GRACE_S = 2.0

#: A file of a program's results seldom has more; where it was cut short, less than this is left.
_ROOM_BYTES = 1 << 16

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """One line of the kernel's process table. ``start`` is in clock ticks after boot: together with
    the pid (and the boot) it names a process once and for all."""

    pid: int
    state: str
    parent: int
    group: int
    start: int


def process(pid: int) -> Optional[Process]:
    """None where there is no such process (any more)."""
    raw = _read("/proc/%d/stat" % pid)
    # the name stands in parentheses and may hold blanks and parentheses itself
    rest = raw[raw.rfind(b")") + 2 :].split()
    if len(rest) < 20:
        return None
    return Process(pid, rest[0].decode(), int(rest[1]), int(rest[2]), int(rest[19]))


def processes() -> List[Process]:
    """All that this process can see. One small read each: some 10 µs per process of the host."""
    with os.scandir("/proc") as entries:
        pids = [int(e.name) for e in entries if e.name.isdigit()]
    return [p for p in map(process, pids) if p is not None]


def descendants(root: int, table: Optional[Iterable[Process]] = None) -> List[Process]:
    """Children of ``root``, theirs, and so on, without those that are dead and only not yet waited for."""
    children: Dict[int, List[Process]] = {}
    for p in processes() if table is None else table:
        children.setdefault(p.parent, []).append(p)
    found: List[Process] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += [p for p in below if p.state not in "ZX"]
        todo += [p.pid for p in below]
    return found


def rss_bytes(pids: Iterable[int]) -> int:
    """Resident memory together. What processes share is counted for each of them."""
    total = 0
    for pid in pids:
        fields = _read("/proc/%d/statm" % pid).split()
        total += int(fields[1]) * _PAGE if len(fields) > 1 else 0
    return total


def send(pids: Iterable[int], number: int) -> None:
    """Those that are gone already, or are not ours to end, are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_below(root: int, wait_s: float = 5.0) -> "tuple[List[int], Dict[int, tuple[int, int]]]":
    """SIGKILL for all descendants of ``root`` until none is left. Those that would not die, and what
    `reap` told of the others."""
    end = time.monotonic() + wait_s
    reaped: "Dict[int, tuple[int, int]]" = {}
    while True:
        left = [p.pid for p in descendants(root)]
        send(left, signal.SIGKILL)
        reaped.update(reap())
        if not left or time.monotonic() > end:
            return left, reaped
        time.sleep(0.02)


def reap() -> Dict[int, "tuple[int, int]"]:
    """Wait for every child that has ended: pid → (wait status, peak resident bytes)."""
    done: Dict[int, "tuple[int, int]"] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                break
            done[pid] = (status, used.ru_maxrss * 1024)
    return done


def _libc() -> Any:
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl.restype = ctypes.c_int
        return libc
    return None


#: Loaded once, before any fork: between fork and exec nothing may be loaded.
_LIBC = _libc()


def _prctl(option: int, value: int) -> bool:
    if _LIBC is None:
        return False
    zero = ctypes.c_ulong(0)
    return bool(_LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero) == 0)


def die_with_parent(parent: int) -> bool:
    """SIGKILL for this process when its parent dies. Ends it at once where the parent is dead already."""
    done = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(127)
    return done


def adopt_orphans() -> bool:
    """Descendants whose parent ends become children of this process, however they detach."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def before_exec(core_bytes: int, affinity: Set[int], first: Callable[[], None]) -> Callable[[], None]:
    """What the child does between fork and exec, after ``first``. ``affinity`` is what the agent was started with: the
    workload pins itself and must find all of it."""
    parent = os.getpid()

    def prepare() -> None:
        die_with_parent(parent)
        first()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        soft = core_bytes if hard == resource.RLIM_INFINITY else min(core_bytes, hard)
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
        if affinity:
            os.sched_setaffinity(0, affinity)
        # where memory runs out, the kernel takes the workload and not who watches it
        with contextlib.suppress(OSError):
            fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(fd, b"500")
            os.close(fd)

    return prepare


def leave_cpus(measured: Iterable[int]) -> Set[int]:
    """Move this process off the measured CPUs where it may run elsewhere; where it could run before."""
    before = os.sched_getaffinity(0)
    others = before - set(measured)
    if others and others != before:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, others)
    return before


def find_core(pid: int, folder: Path, since: float) -> str:
    """Path of the core dump of ``pid``, whose working directory was ``folder``; "" where none was kept
    in a place that this process can tell."""
    pattern = _read("/proc/sys/kernel/core_pattern").decode("utf-8", "replace").strip()
    if pattern.startswith("|"):
        return ""
    where = (folder / pattern).parent
    if "%" in str(where):
        where = folder
    newest = ""
    newest_at = since - 1.0
    with contextlib.suppress(OSError):
        for path in where.iterdir():
            if "core" not in path.name or (where != folder and str(pid) not in path.name):
                continue
            if path.is_file() and path.stat().st_mtime >= newest_at:
                newest, newest_at = str(path), path.stat().st_mtime
    return newest


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(fd, 8192)
    except OSError:
        return b""
    finally:
        os.close(fd)


def has_room(folder: Path) -> bool:
    """Whether a file can still be written there. Tried, for what is kept for root or by a quota shows in no count of free bytes."""
    path = folder / "room"
    try:
        with path.open("wb") as file:
            file.write(b"\xa5" * _ROOM_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except OSError as e:
        return e.errno not in (errno.ENOSPC, errno.EDQUOT)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return True
