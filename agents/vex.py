"""What a playbook's nemesis does to this host from within: threads are moved about, a CPU goes, the clock jumps.

Each lasts as long as it was asked to and is then put back, also where this process is killed meanwhile: a second
process waits for its end, and puts things back as well. Putting back twice does what doing it once does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import signal
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Set, Tuple

from agents.launch import Launch
from agents.limits import descendants

#: Threads are moved so often, on average.
MOVE_EVERY_S = 0.05
_CPUS = "sys/devices/system/cpu"
#: The other process puts back so long after the time is over, should this one stand still.
_LATE_S = 5.0

#: pid and number of a thread
_Thread = Tuple[int, int]


class NotDone(Exception):
    """Why nothing was changed, in words."""


@contextlib.contextmanager
def alone(spool: Path, what: str) -> Iterator[None]:
    """One of a kind at a time: the second would take what the first has changed for what there was. Held until things are
    put back, whoever does it. Raises NotDone, OSError."""
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(str(spool / (".vex-" + what)), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotDone("another one is under way") from None
        yield
    finally:
        os.close(fd)


def pinning(launch: Launch, lasts_s: float, seed: int) -> str:
    """Each thread of what ``launch`` runs is put onto CPUs that chance gives it, again and again: in words, what was
    done. Raises NotDone."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    supervisor = launch.supervisor()
    allowed = sorted(os.sched_getaffinity(0))
    if supervisor is None:
        raise NotDone("nothing of this launch runs any more")
    if len(allowed) < 2:
        raise NotDone("there is one CPU to be on")
    before = _affinities(supervisor)
    moves = 0

    def churn() -> None:
        nonlocal moves
        end = time.monotonic() + lasts_s
        while time.monotonic() < end:
            now = _affinities(supervisor)
            for thread, where in now.items():
                before.setdefault(thread, where)
            if now:
                thread = chance.choice(sorted(now))
                moves += _move(thread, set(chance.sample(allowed, chance.randint(1, len(allowed) - 1))))
            time.sleep(min(chance.uniform(0.5, 1.5) * MOVE_EVERY_S, max(0.0, end - time.monotonic())))

    def back() -> None:
        now = _affinities(supervisor)
        for thread, where in before.items():
            if thread in now:
                _move(thread, where)

    _meanwhile(churn, back, lasts_s)
    return "%d times a thread was moved" % moves


def hotplug(measured: List[int], lasts_s: float, seed: int, root: str = "/") -> str:
    """One CPU goes and comes back, of ``measured`` where one of them may: in words, what was done. Raises NotDone; OSError
    where it did not come back."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    top = Path(root) / _CPUS
    online = sorted(
        int(p.parent.name[3:]) for p in top.glob("cpu[0-9]*/online") if p.read_text().strip() == "1"
    )
    # the one that has no such file stays whatever happens
    firm = any(not (p / "online").exists() for p in top.glob("cpu[0-9]*"))
    if not online or (len(online) == 1 and not firm):
        raise NotDone("this host has no CPU that could go")
    cpu = chance.choice([c for c in online if c in measured] or online)
    file = top / ("cpu%d" % cpu) / "online"
    if not os.access(str(file), os.W_OK):
        raise NotDone("%s may not be written (needs root)" % file)

    def go() -> None:
        try:
            file.write_text("0")
        except OSError as e:
            raise NotDone("CPU %d does not go: %s" % (cpu, e.strerror or e)) from e
        time.sleep(lasts_s)

    def back() -> None:
        if file.read_text().strip() != "1":
            file.write_text("1")

    _meanwhile(go, back, lasts_s)
    return "CPU %d was gone" % cpu


def clock(by_s: float, lasts_s: float) -> str:
    """The wall clock goes forward by ``by_s`` and then back: in words, what was done. Raises NotDone; OSError where it was
    not set back."""
    true = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

    def set_off(off_s: float) -> None:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_MONOTONIC) + true + off_s)

    def go() -> None:
        try:
            set_off(by_s)
        except OSError as e:
            raise NotDone("the clock cannot be set: %s" % (e.strerror or e)) from e
        time.sleep(lasts_s)

    def back() -> None:
        off = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC) - true
        if abs(off) > abs(by_s) / 2:
            set_off(0.0)

    _meanwhile(go, back, lasts_s)
    return "the clock was %g s ahead" % by_s


# ---- putting back


def _meanwhile(change: Callable[[], None], back: Callable[[], None], lasts_s: float) -> None:
    """``change``, which takes ``lasts_s``, then ``back``, whatever becomes of this process."""
    read, write = os.pipe()
    other = os.fork()
    if other == 0:
        os.close(write)
        _put_back_at_the_end(read, back, lasts_s)
    os.close(read)
    try:
        change()
    finally:
        back()
        os.close(write)
        os.waitpid(other, 0)


def _put_back_at_the_end(read: int, back: Callable[[], None], lasts_s: float) -> None:
    """Of the other process: never returns. The pipe ends with the process that makes the change."""
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        select.select([read], [], [], lasts_s + _LATE_S)
        with contextlib.suppress(OSError):
            back()
    finally:
        os._exit(0)


# ---- threads


def _affinities(root: int) -> Dict[_Thread, Set[int]]:
    """Of every thread below ``root``."""
    found: Dict[_Thread, Set[int]] = {}
    for process in descendants(root):
        with contextlib.suppress(OSError):
            for task in Path("/proc/%d/task" % process.pid).iterdir():
                with contextlib.suppress(OSError):
                    found[process.pid, int(task.name)] = os.sched_getaffinity(int(task.name))
    return found


def _move(thread: _Thread, cpus: Set[int]) -> bool:
    with contextlib.suppress(OSError):
        os.sched_setaffinity(thread[1], cpus)
        return True
    return False
