"""How a supervisor comes to life: as a process that no terminal and no connection can take along."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from pathlib import Path
from typing import Callable, NoReturn, Set

from agents import limits, tree
from agents.launch import Launch
from agents.supervisor import Supervisor
from agents.wire import Order


def detach(launch: Launch, order: Order) -> str:
    """Start the supervisor and let it go. Returns "" once the journal has its first entry, else one
    line that says why this host cannot take it. Raises OSError where no process can be made."""
    said = apart(
        launch.log, lambda ready: _guard(launch, order, ready), lambda ready, e: _refuse(launch, ready, e)
    )
    if said == b"ok\n":
        return ""
    return said.decode("utf-8", "replace").strip() or "the supervisor ended before it began"


def apart(log: Path, live: Callable[[int], None], fail: Callable[[int, BaseException], None]) -> bytes:
    """A process of its own session that lives ``live`` and then ends; ``fail`` is told what it raised. Both are given a pipe, which
    one of them closes once there is something to say: that is returned. Raises OSError where no process can be made."""
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(reading)
        _become_daemon(log, live, fail, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as f:
        said = f.read()
    os.waitpid(first, 0)
    return said


def _become_daemon(
    log: Path, live: Callable[[int], None], fail: Callable[[int, BaseException], None], ready: int
) -> NoReturn:
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _let_go(log, ready)
        live(ready)
    except BaseException as e:  # noqa: BLE001 - never back into the caller's stack
        fail(ready, e)
    os._exit(0)


def _let_go(log: Path, keep: int) -> None:
    """Nothing of the caller's stays open but ``keep``: its connection must be able to close. Errors go to ``log``."""
    null = os.open("/dev/null", os.O_RDWR)
    errors = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(errors, 2)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) > 2 and int(name) != keep:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _guard(launch: Launch, order: Order, ready: int) -> None:
    """Two processes: the supervisor, and above it this guard, which sleeps until the supervisor is gone
    and then ends what it may have left. So a supervisor that is killed leaves nothing running, and
    neither does a guard that is killed: each dies with its parent."""
    affinity = limits.leave_cpus(order.cpus)
    limits.adopt_orphans()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            limits.die_with_parent(guard)
            limits.adopt_orphans()
            _supervise(launch, order, ready, affinity)
        except BaseException:  # noqa: BLE001 - never back into the caller's stack
            traceback.print_exc()
        os._exit(0)
    os.close(ready)
    os.waitpid(pid, 0)
    limits.kill_below(guard)
    tree.end_left(launch.folder)


def _supervise(launch: Launch, order: Order, ready: int, affinity: Set[int]) -> None:
    try:
        supervisor = Supervisor(launch, order, affinity)
        launch.write_pid()
        supervisor.start()
    except Exception as e:  # noqa: BLE001 - said to whoever asked for the start
        limits.kill_below(os.getpid())
        _refuse(launch, ready, e)
        return
    _say(ready, "ok")
    os.close(ready)
    supervisor.watch()


def _refuse(launch: Launch, ready: int, e: BaseException) -> None:
    """Nothing of the launch stays, so that it can be started again."""
    launch.disclaim()
    what = e.strerror if isinstance(e, OSError) else "%s: %s" % (type(e).__name__, e)
    _say(ready, "%s: %s" % (launch.folder, what))


def _say(ready: int, text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(ready, text.splitlines()[0].encode("utf-8", "replace") + b"\n")
