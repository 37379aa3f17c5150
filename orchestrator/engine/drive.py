"""Drive one host through one job: the same generator whatever the link and wherever the seat is.

It yields pieces; whoever consumes them writes them down. It holds no truth of its own: the agent on the
host is detached and keeps its journal, so that when this generator, its process or its link dies, a new
one goes on from the byte that was written down last (`Unit.progress`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from agents import wire
from agents.wire import Entry
from orchestrator.engine.reach import Host, HostGone
from orchestrator.engine.unit import Lines, Note, Piece, Progress, Ready, Unit
from orchestrator.fleet.seat import Halt
from orchestrator.model.outcome import Status
from orchestrator.model.plan import StepPlan
from orchestrator.stops import STOPS, Decision, LaunchPolicy, Stop
from orchestrator.transport import Opener, open_link


@dataclass
class _Step:
    plan: StepPlan
    policy: LaunchPolicy
    launch: int
    offset: int
    #: the launch that was under way when this unit was made
    first: int = 0
    #: why it ended, None while it goes on
    over: str | None = None


def drive(unit: Unit, halt: Halt, opener: Opener = open_link) -> Iterator[Piece]:
    """Every step of the unit ends with exactly one ``step_…`` note, unless the consumer goes away; a host
    that is given up has a ``host`` note before them."""
    host = Host(unit, opener, halt)
    stops = [STOPS[s.name](s.argument) for s in unit.job.stops if STOPS[s.name].scope == "host"]
    steps = [_begin(unit, s, stops) for s in unit.steps]
    try:
        yield from _rounds(host, steps, stops, halt)
    except HostGone as e:
        about = {"host": unit.address.name, "status": "lost", "reason": str(e)}
        yield Note("host", {**about, "bytes_shipped": 0, "clock_offset_s": None})
        for step in steps:
            if step.over is None:
                yield _note(unit, step.plan, "step_lost", str(e))
    finally:
        halt.watch(None)
        host.close()


def _begin(unit: Unit, plan: StepPlan, stops: list[Stop]) -> _Step:
    known = unit.progress.get(plan.id, Progress())
    policy = LaunchPolicy(plan.launches, plan.seed)
    for entry in known.entries:
        policy.feed(entry)
        for stop in stops:
            stop.feed(_by_our_clock(unit, entry), host=plan.host, step=plan.id)
    return _Step(plan, policy, known.launch, known.offset, first=known.launch)


def _rounds(host: Host, steps: list[_Step], stops: list[Stop], halt: Halt) -> Iterator[Piece]:
    """Launches are interleaved over the steps (A B C C B A …): a drift of the host falls on all alike."""
    unit = host.unit
    backwards = False
    while True:
        for step in steps:
            done = None if step.over is not None or not step.launch else step.policy.done()
            if done is not None:
                step.over = done
                yield _note(unit, step.plan, "step_done", done, step.launch)
        running = [s for s in steps if s.over is None]
        if not running:
            return
        for step in reversed(running) if backwards else running:
            if halt.reason is None:
                yield from _launch(host, step, stops, halt)
            if halt.reason is not None and step.over is None:
                step.over = halt.reason
                yield _note(unit, step.plan, halt_kind(halt.reason), halt.reason, step.launch)
        backwards = not backwards


#: Of a launch that nobody here has stopped.
STOPPED_BY_OTHERS = (
    "it was stopped on the host, and not by this run (its lease ended, or somebody swept the host)"
)

#: A reason that starts with this is a normal end: the job asked for that much and has had it.
COMPLETE = "complete: "


def halt_reason(decision: Decision) -> str:
    return COMPLETE + decision.reason if decision.verdict is Status.PASSED else decision.reason


#: A reason that starts with this is the loss of the host, or that it was found broken.
LOST = "lost: "
INVALID = "invalid: "


def halt_kind(reason: str) -> str:
    if reason.startswith(LOST):
        return "step_lost"
    if reason.startswith(INVALID):
        return "step_invalid"
    return "step_done" if reason.startswith(COMPLETE) else "step_stopped"


def _launch(host: Host, step: _Step, stops: list[Stop], halt: Halt) -> Iterator[Piece]:
    unit, number = host.unit, step.launch
    at = 0.0
    if unit.job.together and not step.offset:
        yield Ready(unit.address.name, step.plan.id, number)
        granted = halt.wait_to_go()
        if granted is None:
            return
        at = granted + unit.clock_offset_s
    refused = yield from host.start(step.plan, number, at)
    if refused is not None:
        kind, why = refused
        if kind == "step_lost" and halt.reason is not None:
            return  # what ended it is that, and not that there was no room yet
        step.over = why
        yield _note(unit, step.plan, kind, why)
        return
    halt.watch(lambda: host.ask_to_stop(step.plan, number))
    gone: str | None = None
    try:
        for data in host.follow(step.plan, number, step.offset):
            if isinstance(data, str):
                gone = data
                break
            if isinstance(data, Note):
                yield data
                continue
            step.offset += len(data)
            yield Lines(unit.address.name, step.plan.id, number, data)
            for entry in entries(data):
                if entry.kind == "ended":
                    halt.watch(None)  # there is nothing left to stop
                    if entry.data.get("reason") == "stopped" and halt.reason is None:
                        gone = STOPPED_BY_OTHERS
                        continue
                step.policy.feed(entry)
                yield from _apply(stops, _by_our_clock(unit, entry), step.plan, halt)
    finally:
        halt.watch(None)
    step.launch, step.offset = number + 1, 0
    if gone is not None:
        yield from _gone(host, step, number, gone)


def _gone(host: Host, step: _Step, number: int, why: str) -> Iterator[Piece]:
    """A launch that has no end, or whose end is not ours."""
    unit = host.unit
    about = {"host": unit.address.name, "job": unit.job.name, "step": step.plan.id, "launch": number}
    if unit.again and number == step.first:
        step.policy.forget()
        yield Note("launch_again", {**about, "reason": why})
        return
    step.over = why
    for piece in host.evidence(step.plan, number):
        yield Note("evidence", {**about, **piece})
    yield Note("launch_lost", {**about, "reason": why})
    yield _note(unit, step.plan, "step_lost", why)


def _apply(stops: list[Stop], entry: Entry, step: StepPlan, halt: Halt) -> Iterator[Note]:
    for stop in stops:
        decision = stop.feed(entry, host=step.host, step=step.id)
        if decision is not None:
            reason = halt_reason(decision)
            halt.set(reason)
            yield stop_note(step.job, reason, decision, host=step.host)


def stop_note(job: str, reason: str, decision: Decision, host: str = "") -> Note:
    """``host``: the only one where the job ends; empty where it ends everywhere."""
    return Note("stop", {"job": job, "host": host, "reason": reason, "verdict": str(decision.verdict)})


def _by_our_clock(unit: Unit, entry: Entry) -> Entry:
    """For stops that go by the time of day."""
    return replace(entry, t=entry.t - unit.clock_offset_s) if unit.clock_offset_s else entry


def entries(data: bytes) -> Iterator[Entry]:
    """The entries of whole journal lines; a damaged one is left to whoever reads the run folder."""
    for line in data.splitlines():
        try:
            yield wire.parse_entry(line.decode())
        except (wire.WireError, UnicodeDecodeError):
            continue


def _note(unit: Unit, step: StepPlan, kind: str, reason: str, launches: int | None = None) -> Note:
    data: dict[str, Any] = {"host": step.host, "job": unit.job.name, "step": step.id, "reason": reason}
    return Note(kind, data if launches is None else {**data, "launches": launches})
