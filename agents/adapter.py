"""A program of others as a step: it is started, ended where it outlives its time, and what it says becomes records.

Started by the supervisor as the workload, in the folder of the launch. Standard output has records alone; what the
program itself prints goes to standard error, from either of its streams.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from agents import limits
from agents.lines import Splitter
from agents.wire import PROTOCOL, Order, decode, dumps
from agents.workloads import ADAPTED
from agents.workloads.setting import Tool, Translator, result

#: Lines that are kept for who must say what went wrong.
_LAST = 20
#: How long it may take to see that the program has ended while something else keeps its output open.
_LOOK_S = 1.0
#: After SIGTERM; less than what the supervisor gives us.
_GRACE_S = limits.GRACE_S * 0.6


def main(argv: List[str]) -> int:
    import json

    order = decode(Order, json.loads(Path("order.json").read_text()), "order")
    translator = ADAPTED[order.workload].translator(order)
    _print(_hello(order, translator))
    try:
        running = _Running(argv[1:], translator, _time_of(order))
    except OSError as e:
        _print(result("error", 0.0, 0, [], message=_not_started(argv[1], e, ADAPTED[order.workload].PACKAGE)))
        return 1
    tool = running.watch()
    last = translator.end(tool)
    for record in last:
        _print(record)
    if tool.status < 0 and not tool.stopped and not tool.outlived:
        _end_like(-tool.status)
    return 1 if last[-1]["status"] in ("violated", "error") else 0


def _not_started(program: str, e: OSError, package: str) -> str:
    if e.errno != errno.ENOENT:
        return "%s: %s" % (program, e.strerror or e)
    return "%s is not on this host" % program + (" (package %s of Debian)" % package if package else "")


def _hello(order: Order, translator: Translator) -> Dict[str, Any]:
    return {
        "type": "hello",
        "protocol": PROTOCOL,
        "bench": order.workload,
        "contracts": translator.contracts,
        "threads": order.threads,
        "cpus": order.cpus,
        "mem": order.mem,
        "seed": order.seed,
        "warmup_s": 0.0,
        "seconds": order.seconds,
        "settings": order.settings,
    }


def _time_of(order: Order) -> Optional[float]:
    patience = ADAPTED[order.workload].PATIENCE_S
    asked = order.settings.get("patience")
    if patience is None or order.seconds <= 0:
        return None
    return order.seconds + (float(asked) if isinstance(asked, (int, float)) else patience)


class _Running:
    """The program from its start to its end. Raises OSError where it cannot be started."""

    def __init__(self, argv: List[str], translator: Translator, time_s: Optional[float]) -> None:
        self.translator = translator
        self.stopped = self.outlived = False
        parent = os.getpid()
        self.began = time.monotonic()
        self.child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # safe: this process has one thread
            preexec_fn=lambda: limits.die_with_parent(parent) and None,  # noqa: PLW1509 - one thread only
            bufsize=0,
        )
        self.kill_at = None if time_s is None else self.began + time_s
        self.last: List[str] = []
        self.splitter = Splitter()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop())

    def _stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            limits.send([p.pid for p in limits.descendants(os.getpid())], signal.SIGTERM)
            self.kill_at = time.monotonic() + _GRACE_S

    def watch(self) -> Tool:
        assert self.child.stdout is not None
        fd = self.child.stdout.fileno()
        os.set_blocking(fd, False)
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while not (self._read(fd) or self._is_over()):
                selector.select(self._wait_s())
        self._until_it_ends()
        rest = self.splitter.finish()
        if rest is not None:
            self._hear(rest.text)
        seconds = time.monotonic() - self.began
        return Tool(int(self.child.returncode), seconds, self.stopped, self.outlived, self.last)

    def _wait_s(self) -> float:
        if self.kill_at is None:
            return _LOOK_S
        return max(0.0, min(self.kill_at - time.monotonic(), _LOOK_S))

    def _read(self, fd: int) -> bool:
        """True at the end of its output."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data = os.read(fd, 1 << 16)
                if not data:
                    return True
                for line in self.splitter.feed(data):
                    self._hear(line.text)
        return False

    def _hear(self, text: str) -> None:
        self.last = [*self.last[1 - _LAST :], text]
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
        for record in self.translator.hear(text, round(time.monotonic() - self.began, 6)):
            _print(record)

    def _is_over(self) -> bool:
        """Whether it has ended; where its time is over, it is ended."""
        if self.child.poll() is None and self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.outlived = not self.stopped
            self._kill()
        return self.child.poll() is not None

    def _until_it_ends(self) -> None:
        while not self._is_over():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(self._wait_s())

    def _kill(self) -> None:
        """All of it; what it left to others meanwhile is ended by the supervisor."""
        while self.child.poll() is None:
            limits.send([p.pid for p in limits.descendants(os.getpid())], signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(0.1)


def _print(record: Dict[str, Any]) -> None:
    sys.stdout.write(dumps(record) + "\n")
    sys.stdout.flush()


def _end_like(number: int) -> None:
    """The same signal ends this process, so that the step says how its program ended; without a core dump of ours."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # SIGKILL and SIGSTOP cannot be set, and need not be
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
