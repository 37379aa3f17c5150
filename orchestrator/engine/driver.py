"""The Ray driver in a process of its own, so that nothing that befalls Ray ends the run.

Ray terminates the process that called `ray.init` when its head stays away for a minute. Here that is a
child: its death reaches the run as the death of its seats, the units are handed to a new child, and they
go on from what is written in the run folder.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from orchestrator.analysis.spreading import here
from orchestrator.engine.nodes import Admission, Join
from orchestrator.engine.seats import RaySeats
from orchestrator.engine.unit import Note, Piece, Unit
from orchestrator.fleet.certificates import Authority
from orchestrator.fleet.cluster import (
    NODE_ADDRESS,
    Head,
    embedded,
)
from orchestrator.fleet.home import make_home, remove_home, token_file
from orchestrator.fleet.pooled import pooled
from orchestrator.fleet.seat import nodes_alive
from orchestrator.model.plan import ClusterPlan

_LOG = logging.getLogger(__name__)

#: Ray starts in four seconds on an idle machine with two cores; a loaded one gets its time.
READY_S = 240.0
LEAVE_S = 15.0
#: How often a head is started for hosts to join: on a machine that has much to do Ray gives up after 30 s.
HEADS = 3
#: Between two attempts of a host to join again.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0
_TURN_S = 0.05
#: Of a node that is lost.
APART = "it does not answer any more; the host is driven over SSH until it has joined again"
#: A terminal sends these to all of its processes; the run decides, the driver follows.
_NOT_ITS_OWN = (signal.SIGINT, signal.SIGHUP)


class SeatDied(Exception):
    """What was known of it, in words; the traceback is in the log of the driver."""


class DriverSeats:
    """Seats in an embedded Ray, held by a child process. Use as a context manager."""

    def __init__(
        self,
        hosts: Sequence[str],
        logs: Path,
        address: str = NODE_ADDRESS,
        plan: ClusterPlan | None = None,
    ) -> None:
        """``address``: of this machine, as nodes on the hosts reach it."""
        self._plan = plan or ClusterPlan()
        self._authority = Authority() if self._plan.tls else None
        papers = self._authority.papers(address) if self._authority is not None else None
        self._wanted = Head(address, self._plan, papers)
        #: nodes of the cluster when the hosts had joined, the controller's among them
        self.nodes = 0
        self._join: Join | None = None
        #: hosts that have joined at some time
        self._members: set[str] = set()
        self._sending = threading.Lock()
        self._hosts = list(hosts)
        self._logs = logs
        self._child: Any = None
        #: where the child's Ray lives
        self._home: Path | None = None
        self._pipe: Connection | None = None
        self._running: dict[str, Unit] = {}
        #: what `next` gives first; a note that is of no unit has an empty key
        self._due: deque[tuple[str, Piece | BaseException | None]] = deque()
        self._ready_by = 0.0
        #: HOST:PORT for nodes, of the last head that there was
        self._head = ""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def join(self, join: Join) -> None:
        """Before any unit: wait until the head is there, then call ``join``: the hosts that it gives have seats of their own. From now on a
        host whose node is lost joins again as soon as it can, and so do all that had joined where the driver is started again."""
        self._join = join
        for _ in range(HEADS):
            if self._pipe is None:
                self._start()
            while self._pipe is not None and self._ready_by != float("inf"):
                self.next(_TURN_S)
            if self._pipe is not None:
                self._members.update(self._join_in(None))
                self._await_nodes()
                return

    def _await_nodes(self) -> None:
        until = time.monotonic() + LEAVE_S
        while self._pipe is not None and not self.nodes and time.monotonic() < until:
            self.next(_TURN_S)

    def let_go(self) -> None:
        """No more units: Ray ends by itself while the caller does something else."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def spread(self, work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
        """``work(piece)`` for each, in their order, as tasks of this Ray; here, where it is one piece, or Ray cannot. When no
        unit is running."""
        if self._pipe is None or len(pieces) < 2:
            return here(work, pieces)
        self._send(("spread", work, list(pieces)))
        try:
            while True:
                key, answers = self._pipe.recv()
                if key == "spread":
                    return list(answers)
                if key in ("unspread", "failed"):
                    _LOG.error("%s pieces of work are done here: %s", len(pieces), answers)
                    break
        except (EOFError, OSError) as e:
            _LOG.error("%s pieces of work are done here: Ray's driver process ended: %s", len(pieces), e)
        return here(work, pieces)

    def submit(self, unit: Unit) -> None:
        if self._pipe is None:
            self._start()
        self._running[unit.key] = unit
        self._send(("submit", unit))

    def halt(self, key: str, reason: str) -> None:
        self._send(("halt", key, reason))

    def go(self, key: str, at: float) -> None:
        self._send(("go", key, at))

    def next(self, timeout_s: float) -> tuple[str, Piece | BaseException | None] | None:
        if self._due:
            return self._due.popleft()
        if self._pipe is None:
            time.sleep(timeout_s)
            return None
        try:
            if not self._pipe.poll(timeout_s):
                self._check_ready()
                return None
            key, piece = self._pipe.recv()
        except (EOFError, OSError):
            self._died("Ray's driver process ended")
            return None
        if key == "ready":
            again = self._ready_by != float("inf") and self._head != ""
            self._ready_by, self._head = float("inf"), piece
            if again:
                self._join_beside(sorted(self._members))
            return None
        if key == "placed":
            self.nodes = piece
            return None
        if key == "lost":
            self._note_nodes(piece, "lost", APART)
            self._join_beside(piece)
            return None
        if key == "failed":
            self._died(str(piece))
            return None
        if piece is None or isinstance(piece, BaseException):
            self._running.pop(key, None)
        return key, piece

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._home = make_home()
        self._child = spawn.Process(
            target=_serve,
            args=(theirs, self._hosts, self._home, self._logs, self._wanted),
            name="orch-ray-driver",
            daemon=False,
        )
        # it hears nothing of a Ctrl-C until it can say what to do about it (`_serve`): a mask is inherited.
        # The tracker is started before, for its start takes SIGINT out of the mask.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_ITS_OWN)
        try:
            self._child.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._ready_by = time.monotonic() + READY_S

    def _send(self, message: tuple[Any, ...]) -> None:
        pipe = self._pipe
        if pipe is None:
            return
        # a broken pipe shows itself in `next`, where it is dealt with
        with self._sending, contextlib.suppress(OSError):
            pipe.send(message)

    def _join_beside(self, hosts: Sequence[str]) -> None:
        """Meanwhile their units are driven from here."""
        if self._join is not None:
            threading.Thread(target=self._join_until, args=(hosts,), name="join", daemon=True).start()

    def _join_until(self, hosts: Sequence[str]) -> None:
        """A host that was cut off comes back when it comes back."""
        child, pause_s = self._child, FIRST_PAUSE_S
        left = set(hosts)
        while left and child is not None and child is self._child:
            joined = self._join_in(sorted(left))
            self._note_nodes(joined, "joined", "again")
            left -= set(joined)
            until = time.monotonic() + pause_s
            while left and child is self._child and time.monotonic() < until:
                time.sleep(_TURN_S)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _note_nodes(self, hosts: Sequence[str], status: str, reason: str) -> None:
        self._due.extend(("", Note("node", {"host": h, "status": status, "reason": reason})) for h in hosts)

    def _join_in(self, hosts: Sequence[str] | None) -> list[str]:
        """Those that have joined."""
        head, home, child = self._head, self._home, self._child
        if self._join is None or home is None:
            return []
        try:
            joined = self._join(self._admission(head, home), hosts)
        except OSError as e:
            _LOG.error("no host joins the cluster: %s", e)
            return []
        if child is self._child:
            self._send(("place", joined))
        return joined

    def _admission(self, head: str, home: Path) -> Admission:
        return Admission(head, token_file(home).read_text(), self._plan, self._authority)

    def _check_ready(self) -> None:
        if time.monotonic() > self._ready_by:
            self._died(f"Ray did not start within {READY_S:.0f} s")

    def _died(self, why: str) -> None:
        _LOG.error("%s; see %s", why, self._logs)
        self._leave(at_once=True)
        self._note_nodes([""], "lost", why)
        self._due.extend((key, SeatDied(why)) for key in self._running)
        self._running.clear()

    def _leave(self, *, at_once: bool = False) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._child is not None:
            self._child.join(0.5 if at_once else LEAVE_S)
            if self._child.is_alive():
                self._child.kill()
                self._child.join(5.0)
            self._child = None
        if self._home is not None:
            # the child has done so, unless something ended it
            remove_home(self._home, self._logs)
            self._home = None


def _serve(pipe: Connection, hosts: Sequence[str], home: Path, logs: Path, wanted: Head) -> None:
    """The child: until the other end of the pipe is closed, or is gone with its process."""
    for number in _NOT_ITS_OWN:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _NOT_ITS_OWN)
    # whatever Ray prints of its own belongs to the log, not to the user's terminal
    logs.mkdir(parents=True, exist_ok=True)
    log = os.open(logs / "ray-driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        # the other end leaves when there is no more to do: that is no failure
        with embedded(home, logs, wanted) as head, contextlib.suppress(EOFError, OSError):
            pipe.send(("ready", head))
            _relay(pipe, RaySeats(hosts))
    except Exception as e:
        logging.getLogger(__name__).exception("the driver ends")
        with contextlib.suppress(OSError):
            pipe.send(("failed", f"{type(e).__name__}: {e}"))


def _spread(work: Callable[[Any], Any], pieces: Sequence[Any]) -> tuple[str, Any]:
    try:
        return "spread", pooled(work, pieces)
    except Exception as e:
        # what the work itself raises, it raises again where it is asked for
        logging.getLogger(__name__).exception("pieces of work were not done by Ray")
        return "unspread", f"{type(e).__name__}: {e}"


def _relay(pipe: Connection, seats: RaySeats) -> None:
    """Until the pipe is closed: EOFError or OSError."""
    while True:
        while pipe.poll(0):
            verb, *args = pipe.recv()
            if verb == "spread":
                pipe.send(_spread(*args))
                continue
            verbs: dict[str, Callable[..., None]] = {
                "submit": seats.submit,
                "halt": seats.halt,
                "go": seats.go,
                "place": seats.place,
            }
            verbs[verb](*args)
            if verb == "place":
                pipe.send(("placed", nodes_alive()))
        got = seats.next(_TURN_S)
        if seats.lost:
            pipe.send(("lost", list(seats.lost)))
            seats.lost.clear()
        if got is None:
            continue
        key, piece = got
        if isinstance(piece, BaseException):
            # Ray's exceptions do not all survive a pipe
            logging.getLogger(__name__).error("seat of %s", key, exc_info=piece)
            lines = [x for x in str(piece).splitlines() if x.strip()]
            piece = SeatDied(lines[-1].strip() if lines else type(piece).__name__)
        pipe.send((key, piece))
