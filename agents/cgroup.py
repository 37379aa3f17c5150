"""A control group (version 2) of its own for what one launch starts, where the host allows it: the kernel holds it to its memory, and all of
it is ended at once, however many processes it makes meanwhile. Elsewhere the tree of processes is all there is, and that is said.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

#: Beside others' groups at the top, or below the one that the agent is in.
_PARENT = "orch-agent"
_PREFIX = "launch-"
#: An empty group of that age is of no launch that is just beginning.
_STALE_S = 600.0


class NoGroup(Exception):
    """This host has none for us; ``str`` says why."""


class Group:
    """Of one launch. Nothing here raises OSError."""

    def __init__(self, path: Path, limited: str) -> None:
        self.path = path
        #: "" where the kernel holds it to its memory, else why not
        self.limited = limited

    def enter(self) -> None:
        """This process, and all that it starts from now on. Whether it worked is told by `holds`."""
        with contextlib.suppress(OSError):
            _write(self.path / "cgroup.procs", "0")

    def holds(self, pid: int) -> bool:
        return pid in self.pids()

    def pids(self) -> List[int]:
        try:
            return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]
        except (OSError, ValueError):
            return []

    def kill(self) -> None:
        """SIGKILL for all of it. A kernel before 5.14 cannot; whoever asks ends the processes one by one as well."""
        with contextlib.suppress(OSError):
            _write(self.path / "cgroup.kill", "1")

    def ran_out(self) -> bool:
        """The kernel has ended it for want of memory."""
        return self._events().get("oom_kill", 0) > 0

    def _events(self) -> Dict[str, int]:
        try:
            pairs = [line.split() for line in (self.path / "memory.events").read_text().splitlines()]
            return {name: int(value) for name, value in pairs}
        except (OSError, ValueError):
            return {}

    def remove(self) -> None:
        """Where it is empty."""
        with contextlib.suppress(OSError):
            self.path.rmdir()
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def remove_soon(self) -> None:
        """As soon as what was killed is gone; not at all where something does not go."""
        for _ in range(100):
            self.remove()
            if not self.path.exists():
                break
            time.sleep(0.02)


def make(folder: Path, memory_bytes: Optional[int], proc: Path = Path("/proc/self")) -> Group:
    """A new, empty group for the launch in ``folder``. Raises NoGroup."""
    why = "no control groups of version 2 are mounted"
    for parent in _parents(proc):
        path = parent / _PARENT / _name(folder)
        try:
            path.parent.mkdir(exist_ok=True)
            _remove_stale(path.parent)
            _allow_memory(parent)
            _allow_memory(path.parent)
            path.mkdir(exist_ok=True)
        except OSError as e:
            why = "%s: %s" % (path.parent, e.strerror or e)
            continue
        return Group(path, _limit(path, memory_bytes))
    raise NoGroup(why)


def of(folder: Path, proc: Path = Path("/proc/self")) -> Optional[Group]:
    """The group that the launch in ``folder`` has, or had and has left."""
    found = [p / _PARENT / _name(folder) for p in _parents(proc)]
    return next((Group(p, "") for p in found if p.is_dir()), None)


def _remove_stale(parent: Path) -> None:
    """Empty groups of launches that were killed together with all who would have removed them, such as those of a host of a
    lab that was switched off."""
    for path in parent.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.rmdir()


def _limit(path: Path, memory_bytes: Optional[int]) -> str:
    if memory_bytes is None:
        return ""
    try:
        _write(path / "memory.max", str(memory_bytes))
    except FileNotFoundError:
        return "its groups have no say over memory"
    except OSError as e:
        return "memory.max: %s" % (e.strerror or e)
    for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
        with contextlib.suppress(OSError):
            _write(path / name, value)
    return ""


def _allow_memory(path: Path) -> None:
    """Groups below this one may be held to their memory. It works where no process is in it, and at the top."""
    with contextlib.suppress(OSError):
        if "memory" in (path / "cgroup.subtree_control").read_text().split():
            return
        _write(path / "cgroup.subtree_control", "+memory")


def _parents(proc: Path) -> List[Path]:
    """Where a group may be made: at the top, else below our own."""
    try:
        mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
        own = [line[3:] for line in (proc / "cgroup").read_text().splitlines() if line.startswith("0::")]
    except OSError:
        return []
    found: List[Path] = []
    for root, at in _mounted(mounts):
        found.append(at)
        if own and own[0] != "/" and (root == "/" or own[0].startswith(root)):
            found.append(at / own[0][len(root.rstrip("/")) :].lstrip("/"))
    return found


def _mounted(mounts: "List[List[str]]") -> "List[Tuple[str, Path]]":
    """(root within the hierarchy, where it is mounted) of each mount of version 2."""
    return [(m[3], Path(m[4])) for m in mounts if "-" in m and m[m.index("-") + 1] == "cgroup2"]


def _name(folder: Path) -> str:
    """Hosts of a lab may have folders of the same name, each in a file system of its own, and one kernel."""
    with contextlib.suppress(OSError):
        there = "%d:%s" % (Path("/proc/self/ns/mnt").stat().st_ino, folder)
        return _PREFIX + hashlib.sha256(os.fsencode(there)).hexdigest()[:24]
    return _PREFIX + hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
