"""A host as a seat uses it: the agent's commands there, over links that may break and are opened again."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from agents import wire
from agents.wire import JOURNAL_BYTES, Limits, Order
from orchestrator.engine.unit import Note, Unit
from orchestrator.errors import LinkError, LinkLost, LinkTimeout, Unreachable
from orchestrator.fleet.seat import Halt
from orchestrator.model.plan import StepPlan
from orchestrator.model.race import WORKLOAD as RACE
from orchestrator.transport import Opener
from orchestrator.transport.link import Completed, Link

#: The agent sends a blank line at least every 5 s; three missed ones are a dead link.
IDLE_S = 16.0
START_S = 60.0
STOP_S = 30.0

#: Exit statuses of the agent (agents/main.py).
BAD_ORDER = 2
CANNOT = 5
AGENTS_OWN = (BAD_ORDER, CANNOT, 6, 70)
NO_SUCH_LAUNCH = 3
SUPERVISOR_GONE = 4

#: How its words end where the disk of the host is full.
NO_ROOM = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))

#: Of a core dump of a step that looks for races.
CORE_BYTES = 256 << 20


class HostGone(Exception):
    """Out of reach for longer than the unit's patience."""


class _ReaderGone(LinkLost):
    """The host answers, and what read the journal there is gone."""


@dataclass
class Host:
    """The agent's commands on one host, over links that may break and are opened again."""

    unit: Unit
    opener: Opener
    halt: Halt
    _link: Link | None = None
    _room: _Room = field(init=False)

    def __post_init__(self) -> None:
        self._room = _Room(self.unit, self.halt)

    @property
    def _pace(self) -> float:
        return self.unit.address.pace

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def start(self, step: StepPlan, launch: int, at: float) -> Generator[Note, None, tuple[str, str] | None]:
        """None where it runs (or ran already), else the kind of the step's note and why the host will not. Safe to repeat:
        the agent starts a launch once. A host that cannot (disk full, agent damaged) says nothing about what was to run there; for room
        on its disk it is waited as long as for a host that is out of reach."""
        order = wire.dumps(wire.encode(order_of(self.unit, step, launch, at))).encode()
        argv = self._agent("start")
        while True:
            answer = yield from self._persist(
                lambda link: link.run(argv, stdin=order, timeout_s=START_S * self._pace)
            )
            if answer.exit == 0:
                yield from self._room.found()
                return None
            said = answer.stderr.decode(errors="replace").strip().splitlines()
            words = said[-1] if said else f"exit status {answer.exit}"
            # the same of every launch, so that a report says it once
            words = words.replace(
                f"{self.unit.spool}/runs/{self.unit.run}/{step.id}/{launch}", self.unit.spool
            )
            if answer.exit != CANNOT or not words.endswith(NO_ROOM):
                break
            yield from self._room.lacks(words)
            if not self._room.wait():
                break
        if answer.exit not in AGENTS_OWN:
            words = f"its copy on the host does not run (damaged?), and is shipped again when the run is resumed: {words}"
        why = f"the agent did not start it: {words}"
        return "step_failed" if answer.exit == BAD_ORDER else "step_lost", why

    def follow(self, step: StepPlan, launch: int, offset: int) -> Iterator[bytes | str | Note]:
        """Whole journal lines from ``offset`` on; a str at the end where the launch is lost, and why."""
        deadline = _Patience(self.unit, self.halt)
        while True:
            try:
                status = yield from self._follow_once(step, launch, offset, deadline)
                if status not in (0, SUPERVISOR_GONE, NO_SUCH_LAUNCH):
                    # what was reading the journal was killed, and not what is written there
                    raise _ReaderGone(
                        self.unit.address.name, f"its journal's reader ended with status {status}"
                    )
            except (LinkLost, LinkTimeout, Unreachable) as e:
                offset = deadline.offset
                self.close()
                yield from deadline.missed(e)
                deadline.wait(e)
                continue
            except LinkError as e:
                raise HostGone(str(e)) from e
            if status == 0:
                return
            if status == SUPERVISOR_GONE:
                yield "the agent on the host ended without a last word (host rebooted, or it was killed)"
            else:
                yield "the host no longer knows this launch (its spool was emptied?)"
            return

    def _follow_once(
        self, step: StepPlan, launch: int, offset: int, deadline: _Patience
    ) -> Generator[bytes | Note, None, int]:
        deadline.offset = offset
        argv = [*self._agent("follow"), *_which(self.unit, step, launch), "--offset", str(offset)]
        with self._open().stream(argv, idle_s=IDLE_S * self._pace) as stream:
            rest = b""
            for chunk in stream.chunks():
                yield from deadline.heard()
                cut = (rest + chunk).rfind(b"\n") + 1
                whole, rest = (rest + chunk)[:cut], (rest + chunk)[cut:]
                lines = b"".join(x for x in whole.splitlines(keepends=True) if x != b"\n")
                if lines:
                    deadline.offset += len(lines)
                    yield lines
            return stream.exit()

    def evidence(self, step: StepPlan, launch: int) -> list[dict[str, Any]]:
        """What the host says of a launch that was lost; nothing where it does not answer."""
        argv = [*self._agent("evidence"), *_which(self.unit, step, launch)]
        try:
            answer = self._open().run(argv, timeout_s=START_S * self._pace)
            pieces = json.loads(answer.stdout)["pieces"] if answer.exit == 0 else []
        except LinkError:
            self.close()
            return []
        except (ValueError, LookupError, TypeError):
            return []
        return [p for p in pieces if isinstance(p, dict)] if isinstance(pieces, list) else []

    def ask_to_stop(self, step: StepPlan, launch: int) -> None:
        """Over a link of its own, from another thread: the first one is busy following. Where the host
        cannot be reached the launch ends by its own limits."""
        try:
            link = self.opener(self.unit.address)
        except LinkError:
            return
        try:
            link.run([*self._agent("stop"), *_which(self.unit, step, launch)], timeout_s=STOP_S * self._pace)
        except LinkError:
            return
        finally:
            link.close()

    def _agent(self, verb: str) -> list[str]:
        return [self.unit.address.python, self.unit.agent, verb, "--spool", self.unit.spool]

    def _open(self) -> Link:
        if self._link is None:
            self._link = self.opener(self.unit.address)
        return self._link

    def _persist(self, verb: Callable[[Link], Completed]) -> Generator[Note, None, Completed]:
        deadline = _Patience(self.unit, self.halt)
        while True:
            try:
                answer = verb(self._open())
            except (LinkLost, LinkTimeout, Unreachable) as e:
                self.close()
                yield from deadline.missed(e)
                deadline.wait(e)
            except LinkError as e:
                raise HostGone(str(e)) from e
            else:
                yield from deadline.heard()
                return answer


class _Room:
    """How long a host may have no room for another launch, counted from when it first had none; once for all steps of the unit, so that
    what a full disk costs is one wait a job."""

    def __init__(self, unit: Unit, halt: Halt) -> None:
        self._unit, self._halt = unit, halt
        #: when it was noted that there is none
        self._since: float | None = None
        self._pause = 0.2

    def found(self) -> Iterator[Note]:
        if self._since is not None:
            without_s, self._since, self._pause = time.monotonic() - self._since, None, 0.2
            yield _reached(self._unit, "room", f"after {without_s:.0f} s")

    def lacks(self, words: str) -> Iterator[Note]:
        """Said once."""
        if self._since is None:
            self._since = time.monotonic()
            yield _reached(self._unit, "full", words)

    def wait(self) -> bool:
        """Sleep before the next try; False where there is no patience left, or the unit is to end."""
        if self._halt.reason is not None or self._since is None:
            return False
        if time.monotonic() - self._since > self._unit.patience_s:
            return False
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, 4.0)
        return True


class _Patience:
    """How long a host may stay out of reach, counted from the last sign of life."""

    def __init__(self, unit: Unit, halt: Halt) -> None:
        self._unit, self._seconds = unit, unit.patience_s
        self._halt = halt
        self._since: float | None = None
        #: when it was noted that the host is away
        self._noted: float | None = None
        self._pause = 0.2
        self.offset: int = 0

    def heard(self) -> Iterator[Note]:
        """A sign of life."""
        self._since, self._pause = None, 0.2
        if self._noted is not None:
            away_s, self._noted = time.monotonic() - self._noted, None
            yield _reached(self._unit, "back", f"after {away_s:.0f} s")

    def missed(self, error: LinkError) -> Iterator[Note]:
        """Said once, and not of a reader that was killed on a host that answers."""
        if self._noted is None and not isinstance(error, _ReaderGone):
            self._noted = time.monotonic()
            yield _reached(self._unit, "away", error.what)

    def wait(self, error: LinkError) -> None:
        """Sleep before the next try; raises HostGone when there is no patience left."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since > self._seconds:
            raise HostGone(f"out of reach for {now - self._since:.0f} s: {error.what}") from error
        if self._halt.reason is not None:
            raise HostGone(f"out of reach when asked to stop: {error.what}") from error
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, 4.0)


def _reached(unit: Unit, status: str, reason: str) -> Note:
    about = {"host": unit.address.name, "job": unit.job.name}
    return Note("reach", {**about, "status": status, "reason": reason})


def _which(unit: Unit, step: StepPlan, launch: int) -> list[str]:
    return ["--run", unit.run, "--step", step.id, "--launch", str(launch)]


def order_of(unit: Unit, step: StepPlan, launch: int, at: float = 0.0) -> Order:
    """The order for one launch, which begins when the host's clock says ``at``. Its seed differs from launch to launch and is written down."""
    return Order(
        protocol=wire.PROTOCOL,
        run=unit.run,
        host=step.host,
        job=step.job,
        step=step.id,
        launch=launch,
        workload=step.workload,
        settings=json.loads(json.dumps(step.settings)),
        program=unit.programs.get(step.variant, ""),
        threads=step.threads,
        cpus=list(step.cpus),
        mem=step.mem,
        warmup_s=step.warmup_s,
        seconds=step.seconds,
        interval_s=step.interval_s,
        seed=(step.seed + launch) % 2**63,
        limits=Limits(
            unit.job.wall_s,
            unit.job.memory_bytes,
            output_bytes=unit.job.journal_bytes or JOURNAL_BYTES,
            core_bytes=_core_bytes(step),
            alone_s=unit.job.alone_s,
        ),
        start_at=at,
    )


def _core_bytes(step: StepPlan) -> int:
    """A search for races keeps what a crash leaves. Sanitizers say more themselves, and reserve more memory than a disk has."""
    return CORE_BYTES if step.workload == RACE and step.variant not in ("asan", "tsan") else 0
