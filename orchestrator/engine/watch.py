"""Watch a whole run: hand units to seats, write down what comes back, apply stops, needs and interrupts.

The only writer of the run folder's journals while a run is going on. A seat that dies is replaced and
goes on from what is written; Ray is never asked what happened, the host's journal is.
"""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from agents.wire import Entry
from orchestrator.engine.drive import INVALID, LOST, entries, halt_kind, halt_reason, stop_note
from orchestrator.engine.nemesis import Nemesis
from orchestrator.engine.resume import made_again, progress_of
from orchestrator.engine.together import Together
from orchestrator.engine.unit import Lines, Note, Piece, Ready, Unit
from orchestrator.engine.upkeep import Upkeep
from orchestrator.errors import RunFolderError
from orchestrator.model.outcome import Status
from orchestrator.model.plan import JobPlan, Plan, StepPlan
from orchestrator.results.folder import RunFolder, read_journal
from orchestrator.stops import STOPS, Stop

_LOG = logging.getLogger(__name__)

#: How often a unit gets a new seat before its steps count as lost.
MAX_SEATS = 3
#: How long running launches get to come to an end after an interrupt.
INTERRUPT_S = 45.0
TURN_S = 0.25


#: What forbids whatever needs a job, in words.
_FORBIDS = {
    Status.FAILED: "failed",
    Status.LOST: "was lost",
    Status.STOPPED: "was stopped",
    Status.INVALID: "was invalid",
}

#: How steps ended, by the journals' fold: (folder, steps, what the controller noted about them).
Judge = Callable[[RunFolder, Sequence[StepPlan], Sequence[Entry]], Mapping[str, tuple[Status, str]]]


class Observer(Protocol):
    """Whoever shows the run's progress. Called from one thread, often; must return at once."""

    def began(self, unit: Unit) -> None:
        """A unit was given to a seat."""

    def entry(self, unit: Unit, step: str, entry: Entry) -> None:
        """One entry of a host's journal was written down."""

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        """One entry of the controller's journal was written."""

    def turn(self) -> None:
        """Several times a second, whatever happens."""


class Seats(Protocol):
    """Where units are carried out: Ray, or threads of this process in tests."""

    def submit(self, unit: Unit) -> None:
        """Begin; its pieces come from `next`."""

    def next(self, timeout_s: float) -> tuple[str, Piece | BaseException | None] | None:
        """(key of the unit, piece), an empty key with a note that is of none; None as piece at its end; an exception where its seat died.
        None where nothing came in time."""

    def halt(self, key: str, reason: str) -> None:
        """Ask a unit to end."""

    def go(self, key: str, at: float) -> None:
        """A unit that has said `Ready` goes on; its launch begins when our clock says ``at``."""


@dataclass
class _Job:
    plan: JobPlan
    #: host → unit that is still to be driven or under way
    units: dict[str, Unit] = field(default_factory=dict)
    #: hosts that the job is through with
    over: set[str] = field(default_factory=set)
    #: host → statuses that forbid whatever needs this job, in words
    bad: dict[str, str] = field(default_factory=dict)
    halted: str | None = None


class Watch:
    """One run. ``units`` are in the order in which a host should take them."""

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        units: Sequence[Unit],
        seats: Seats,
        observer: Observer,
        interrupted: Callable[[], bool],
        judge: Judge,
        lost: Callable[[], Mapping[str, str]] = dict,
        nemesis: Nemesis | None = None,
        gone: Callable[[str, str], None] = lambda _host, _why: None,
    ) -> None:
        """``lost``: host → why it may not be used any longer; asked several times a second. ``gone``: told of a host that is given
        up, and why; must return at once."""
        self._nemesis = nemesis or Nemesis()
        self._gone = gone
        self._lost = lost
        self._given_up: set[str] = set()
        self._folder = folder
        self._plan = plan
        self._seats = seats
        self._observer = observer
        self._interrupted = interrupted
        self._judge = judge
        self._order = list(units)
        self._running: dict[str, Unit] = {}
        self._tries: dict[str, int] = {}
        #: step → how it and its launches ended, as the controller noted, before this watch and during it; until its host is through with its job
        self._notes: dict[str, list[Entry]] = {}
        anew = {step.id for unit in units for step in unit.steps}
        for entry in read_journal(folder.controller_journal, []):
            # what an earlier session said of these is over, but for what it has made anew
            if entry.data.get("step") not in anew or entry.kind == "launch_again":
                self._remember(entry)
        self._jobs = {j.name: _Job(j) for j in plan.jobs}
        self._stops: dict[tuple[str, int], Stop] = {}
        self._interrupt_at: float | None = None
        for unit in units:
            self._jobs[unit.job.name].units[unit.address.name] = unit
        self._planned: dict[tuple[str, str], list[StepPlan]] = {}
        for step in plan.steps:
            self._planned.setdefault((step.job, step.host), []).append(step)
        self._together = {
            j.name: Together(
                j.name,
                seats.go,
                lambda data: self._note(Note("barrier", data)),
                {u.address.name: u.clock_offset_s for u in units},
            )
            for j in plan.jobs
            if j.together
        }
        for name, host in self._planned:
            if host not in self._jobs[name].units:
                self._close(name, host)

    def run(self) -> bool:
        """Until every unit has ended, or an interrupt has had its time. True where it was interrupted.
        Raises RunFolderError, after what runs on the hosts was stopped."""
        try:
            self._catch_up()
            for unit in self._order:
                # to pickle a unit, as handing it out does, gives each object of the plan a dict that stays: all of them now
                pickle.dumps(unit)
            with Upkeep() as upkeep:
                return self._watch(upkeep)
        except RunFolderError:
            self._stop_without_a_word()
            raise

    def _catch_up(self) -> None:
        """What the hosts have written before counts towards a stop of the whole job, and so does a host that could not be planned for."""
        for step in self._plan.steps:
            job = self._jobs[step.job].plan
            if any(STOPS[s.name].scope == "job" for s in job.stops):
                if step.lost:
                    lost = {"host": step.host, "status": "lost", "reason": step.lost}
                    self._feed(job, step.host, step.id, Entry(0, 0, 0.0, 0.0, "host", lost))
                for entry in read_journal(self._folder.journal(step.host, step.id), []):
                    self._feed(job, step.host, step.id, entry)

    def _watch(self, upkeep: Upkeep) -> bool:
        while True:
            upkeep.turn()
            self._observer.turn()
            for note in self._nemesis.said():
                self._note(note)
            self._check_interrupt()
            self._check_lost()
            self._hand_out()
            if not self._running and (not self._order or self._interrupt_at is not None):
                break
            got = self._seats.next(TURN_S)
            if got is not None:
                self._take(*got)
            elif self._interrupt_at is not None and time.monotonic() - self._interrupt_at > INTERRUPT_S:
                break
        for note in self._nemesis.close():
            self._note(note)
        return self._interrupt_at is not None

    def _stop_without_a_word(self) -> None:
        """Nothing can be written any more: what comes in is dropped, but nobody is left working."""
        self._halt(list(self._running), "the run folder cannot be written")
        until = time.monotonic() + INTERRUPT_S
        while self._running and time.monotonic() < until:
            key, piece = self._seats.next(TURN_S) or ("", Note("", {}))
            if piece is None or isinstance(piece, BaseException):
                self._running.pop(key, None)

    # -- handing out -------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        busy = {u.address.name for u in self._running.values()}
        for unit in list(self._order):
            host = unit.address.name
            if host in busy:
                continue
            job = self._jobs[unit.job.name]
            if job.halted is not None:
                self._end_unstarted(unit, halt_kind(job.halted), job.halted)
                continue
            waits, bad = self._needs(job.plan, host)
            if bad is not None:
                self._end_unstarted(unit, "step_skipped", bad)
            elif not waits:
                self._order.remove(unit)
                busy.add(host)
                self._submit(unit)
            else:
                busy.add(host)  # a later job does not overtake one that waits on this host

    def _needs(self, job: JobPlan, host: str) -> tuple[bool, str | None]:
        """(something is still under way, why it can never begin)"""
        waits = False
        for name in job.needs:
            need = self._jobs[name]
            here = host in need.units or host in need.over
            hosts = [host] if here else sorted({*need.units, *need.over})
            for h in hosts:
                if h in need.bad:
                    return False, f"needs {name}, which {need.bad[h]} on {h}"
                waits = waits or h not in need.over
        return waits, None

    def _submit(self, unit: Unit) -> None:
        self._running[unit.key] = unit
        self._tries[unit.key] = self._tries.get(unit.key, 0) + 1
        self._seats.submit(unit)
        self._observer.began(unit)

    def _end_unstarted(self, unit: Unit, kind: str, reason: str) -> None:
        self._order.remove(unit)
        for step in unit.steps:
            self._note(Note(kind, _about(step, reason)))
        self._close(unit.job.name, unit.address.name)

    # -- taking in ---------------------------------------------------------------------------------

    def _take(self, key: str, piece: Piece | BaseException | None) -> None:
        if not key and isinstance(piece, Note):
            self._note(piece)
        unit = self._running.get(key)
        if unit is None:
            return
        if isinstance(piece, Lines):
            self._folder.append(piece.host, piece.step, piece.data)
            meeting = self._together.get(unit.job.name)
            for entry in entries(piece.data):
                if meeting is not None:
                    meeting.heard(piece.host, entry)
                self._observer.entry(unit, piece.step, entry)
                self._nemesis.heard(unit, piece.step, entry)
                self._feed(unit.job, unit.address.name, piece.step, entry)
                if entry.kind == "health" and entry.data.get("level") == "broken":
                    self._give_up(piece.host, "quarantined", str(entry.data.get("text")))
        elif isinstance(piece, Note):
            self._note(piece)
        elif isinstance(piece, Ready):
            self._together[unit.job.name].ready(piece.host, key)
            self._meet(unit.job.name)
        elif piece is None:
            self._end(unit)
        else:
            self._seat_died(unit, piece)

    def _meet(self, job: str) -> None:
        if job in self._together:
            self._together[job].meet(self._jobs[job].units)

    def _note(self, note: Note) -> None:
        entry = self._folder.note(note.kind, note.data)
        self._remember(entry)
        self._observer.note(note.kind, note.data)
        if note.kind.startswith("step_") or note.kind == "launch_lost":
            self._nemesis.gone(note.data["step"])
        if note.kind == "launch_lost":
            self._feed(self._jobs[note.data["job"]].plan, note.data["host"], note.data["step"], entry)
        elif note.kind == "host" and note.data.get("status") in ("lost", "quarantined"):
            self._gone(str(note.data["host"]), str(note.data["reason"]))
            self._feed_lost(note.data["host"], entry)

    def _feed_lost(self, host: str, entry: Entry) -> None:
        """A host that is lost or broken, to every job that is not through with it."""
        for name, job in self._jobs.items():
            if (name, host) in self._planned and host not in job.over:
                self._feed(job.plan, host, "", entry)

    def _remember(self, entry: Entry) -> None:
        # evidence is long, and nothing here asks for it
        if "step" in entry.data and entry.kind.startswith(("step_", "launch_")):
            self._notes.setdefault(entry.data["step"], []).append(entry)

    def _is_over(self, step: str) -> bool:
        return any(e.kind.startswith("step_") for e in self._notes.get(step, ()))

    def _end(self, unit: Unit) -> None:
        del self._running[unit.key]
        del self._tries[unit.key]
        self._nemesis.through(unit)
        for step in unit.steps:
            if not self._is_over(step.id):
                self._note(Note("step_lost", _about(step, "its seat ended without a word about it")))
        self._close(unit.job.name, unit.address.name)

    def _close(self, job: str, host: str) -> None:
        steps = self._planned[job, host]
        notes = [e for s in steps for e in self._notes.pop(s.id, ())]
        state = self._jobs[job]
        state.units.pop(host, None)
        state.over.add(host)
        for status, _ in self._judge(self._folder, steps, notes).values():
            if status in _FORBIDS:
                state.bad.setdefault(host, _FORBIDS[status])
        self._meet(job)
        if job in self._together and not state.units:
            self._together[job].close()

    def _seat_died(self, unit: Unit, error: BaseException) -> None:
        _LOG.error("the seat of %s died", unit.key, exc_info=error)
        if unit.job.name in self._together:
            self._together[unit.job.name].away(unit.address.name)
        left = tuple(s for s in unit.steps if not self._is_over(s.id))
        if self._interrupt_at is not None or self._tries[unit.key] >= MAX_SEATS:
            first = (str(error).splitlines() or [""])[0]
            for step in left:
                self._note(Note("step_lost", _about(step, f"its seat died: {first or type(error).__name__}")))
            self._end(unit)
            return
        again = made_again(e for s in left for e in self._notes.get(s.id, ()))
        progress = {s.id: progress_of(self._folder, s.host, s.id, again.get(s.id, ())) for s in left}
        self._submit(replace(unit, steps=left, progress=progress))

    # -- stops and interrupts ----------------------------------------------------------------------

    def _feed(self, job: JobPlan, host: str, step: str, entry: Entry) -> None:
        for number, spec in enumerate(job.stops):
            if STOPS[spec.name].scope == "host":
                continue  # applied where the host is driven, between two launches
            key = (job.name, number)
            if key not in self._stops:
                hosts = sum(name == job.name for name, _ in self._planned)
                self._stops[key] = STOPS[spec.name](spec.argument, hosts)
            decision = self._stops[key].feed(entry, host=host, step=step)
            if decision is None:
                continue
            reason = halt_reason(decision)
            self._note(stop_note(job.name, reason, decision))
            self._halt(self._keys(job.name), reason)
            self._jobs[job.name].halted = reason

    def _keys(self, job: str) -> list[str]:
        return [k for k, u in self._running.items() if u.job.name == job]

    def _halt(self, keys: Sequence[str], reason: str) -> None:
        for key in keys:
            self._seats.halt(key, reason)

    def _check_lost(self) -> None:
        for host, why in self._lost().items():
            self._give_up(host, "lost", why)

    def _give_up(self, host: str, status: str, why: str) -> None:
        """``status``: lost, or quarantined where the host itself is broken. Nothing more is done there."""
        if host in self._given_up:
            return
        self._given_up.add(host)
        kind, reason = ("step_lost", LOST + why) if status == "lost" else ("step_invalid", INVALID + why)
        self._note(Note("host", {"host": host, "status": status, "reason": why}))
        self._halt([k for k, u in self._running.items() if u.address.name == host], reason)
        for unit in [u for u in self._order if u.address.name == host]:
            self._end_unstarted(unit, kind, reason)

    def _check_interrupt(self) -> None:
        if self._interrupt_at is None and self._interrupted():
            self._interrupt_at = time.monotonic()
            self._note(Note("interrupted", {"signal": "SIGINT"}))
            self._halt(list(self._running), "interrupted")
            for unit in list(self._order):
                self._end_unstarted(unit, "step_stopped", "interrupted")


def _about(step: StepPlan, reason: str) -> dict[str, Any]:
    return {"host": step.host, "job": step.job, "step": step.id, "reason": reason}
