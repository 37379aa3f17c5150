"""All that one launch has started, told and ended together: a control group where the host allows one, and the tree of its processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Callable, List, Optional, Set

from agents import cgroup, limits
from agents.limits import Process


class Tree:
    """Of the process that makes it. ``own``: children of its that are not the launch's."""

    def __init__(self, folder: Path, memory_bytes: Optional[int], own: Callable[[], Set[int]]) -> None:
        self._own = own
        self._group: Optional[cgroup.Group] = None
        #: in words, for the journal
        self.held = ""
        try:
            self._group = cgroup.make(folder, memory_bytes)
        except cgroup.NoGroup as e:
            self.held = "as a tree of processes (%s)" % e
        else:
            unlimited = " (memory is looked at: %s)" % self._group.limited if self._group.limited else ""
            self.held = "as a control group" + unlimited

    def enter(self) -> None:
        """In the first process of the launch, before it is what it is to be."""
        if self._group is not None:
            self._group.enter()

    def entered(self, pid: int) -> None:
        """That process runs: is it where it was to be?"""
        if self._group is not None and not self._group.holds(pid) and limits.process(pid) is not None:
            self._group.remove()
            self._group = None
            self.held = "as a tree of processes (the host refused its group)"

    def processes(self) -> List[Process]:
        """Without those that are dead and only not yet waited for."""
        mine = self._own()
        found = {p.pid: p for p in limits.descendants(os.getpid()) if p.pid not in mine}
        for pid in self._group.pids() if self._group is not None else ():
            p = limits.process(pid)
            if p is not None and p.state not in "ZX":
                found.setdefault(pid, p)
        return list(found.values())

    def terminate(self) -> None:
        limits.send([p.pid for p in self.processes()], signal.SIGTERM)

    def kill(self) -> None:
        """A group is killed as a whole: no process can be made meanwhile that is not."""
        if self._group is not None:
            self._group.kill()
        limits.send([p.pid for p in self.processes()], signal.SIGKILL)

    def ran_out(self) -> bool:
        """The kernel has ended some of it for want of memory that it may have."""
        return self._group is not None and self._group.ran_out()

    def close(self) -> None:
        if self._group is not None:
            self._group.remove()


def end_left(folder: Path) -> List[int]:
    """Of a launch whose supervisor is gone: what is left in its group. Those that were ended."""
    group = cgroup.of(folder)
    if group is None:
        return []
    pids = group.pids()
    group.kill()
    limits.send(pids, signal.SIGKILL)
    group.remove_soon()
    return pids
