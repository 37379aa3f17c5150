"""Plan and journals → how every planned step ended. A pure fold: no clock, no files, no guessing.

Every planned step comes out exactly once, as passed, failed, stopped, lost, invalid or skipped, with a reason
in words. Passed needs three things: each launch whole in the journal and ended well, enough of
them, and the controller's word that the step was done.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from agents.wire import Entry
from orchestrator.model.outcome import Outcome, Status
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.results.journals import Journals
from orchestrator.results.launch import FAILURES, Ending, Launch, classify
from orchestrator.results.ledger import StepLog

NEVER_STARTED = "never started: the run ended before it"

_FINAL = {
    "step_failed": Status.FAILED,
    "step_invalid": Status.INVALID,
    "step_lost": Status.LOST,
    "step_stopped": Status.STOPPED,
    "step_skipped": Status.SKIPPED,
    "step_done": Status.PASSED,
}
_SEVERITY = list(_FINAL.values())


@dataclass(frozen=True)
class Folded:
    """``outcomes`` in the order of the plan; ``launches`` by step, in order."""

    outcomes: list[Outcome]
    launches: dict[str, list[Launch]]
    interrupted: bool
    #: jobs that a stop condition has ended: what is missing of them stays so
    stopped_jobs: frozenset[str]


@dataclass(frozen=True)
class _Word:
    """The controller's last word on a step."""

    status: Status
    reason: str
    launches: int | None


@dataclass
class _Controller:
    """What the controller's journal says, by step and host."""

    finals: dict[str, _Word] = field(default_factory=dict)
    lost_launches: dict[tuple[str, int], str] = field(default_factory=dict)
    #: those in whose place a later session has made others
    again: dict[tuple[str, int], str] = field(default_factory=dict)
    lost_hosts: dict[str, str] = field(default_factory=dict)
    stopped_jobs: set[str] = field(default_factory=set)
    interrupted: bool = False


def fold(plan: Plan, journals: Journals) -> Folded:
    controller = _read_controller(journals.controller)
    launches = {
        step.id: _launches(step, journals.steps.get(step.id, StepLog()), controller) for step in plan.steps
    }
    outcomes = []
    for step in plan.steps:
        made = launches[step.id]
        status, reason = _status(step, made, journals.steps.get(step.id, StepLog()), controller)
        outcomes.append(_outcome(step, made, status, reason))
    return Folded(outcomes, launches, controller.interrupted, frozenset(controller.stopped_jobs))


def _read_controller(entries: list[Entry]) -> _Controller:
    """A resumed run has several `run_started`; what a later session says of a step, a host or a launch
    replaces what an earlier one said. Within one session the worst word counts."""
    state = _Controller()
    said: dict[str, int] = {}
    session = 0
    for entry in entries:
        data = entry.data
        step = str(data.get("step", ""))
        if entry.kind == "run_started":
            session += 1
            state.interrupted = False
            state.lost_launches.clear()
        elif entry.kind in _FINAL:
            word = _Word(_FINAL[entry.kind], str(data.get("reason") or ""), _count(data))
            before = state.finals.get(step)
            newer = said.get(step) != session
            if before is None or newer or _SEVERITY.index(word.status) < _SEVERITY.index(before.status):
                state.finals[step] = word
            said[step] = session
        elif entry.kind == "launch_lost":
            reason = str(data.get("reason") or "lost")
            state.lost_launches[step, int(data.get("launch", 0))] = reason
        elif entry.kind == "launch_again":
            reason = str(data.get("reason") or "cut short")
            state.again[step, int(data.get("launch", 0))] = f"{reason}; made again when the run was resumed"
        elif entry.kind == "host":
            state.lost_hosts.pop(str(data.get("host")), None)
            if data.get("status") == "lost":
                state.lost_hosts[str(data.get("host"))] = str(data.get("reason") or "no reason given")
        elif entry.kind == "stop":
            state.stopped_jobs.add(str(data.get("job")))
        elif entry.kind == "interrupted" or (entry.kind == "run_ended" and data.get("interrupted")):
            state.interrupted = True
    return state


def _count(data: dict[str, Any]) -> int | None:
    value = data.get("launches")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _launches(step: StepPlan, log: StepLog, controller: _Controller) -> list[Launch]:
    faults: dict[int, list[str]] = defaultdict(list)
    for fault in log.faults:
        if fault.launch is not None:
            faults[fault.launch].append(fault.what)
    lost = {**controller.lost_launches, **controller.again}
    given_up = {n: why for (s, n), why in lost.items() if s == step.id}
    return [
        classify(step, n, log.launches.get(n, []), faults[n], given_up.get(n, ""))
        for n in sorted({*log.launches, *given_up})
    ]


def _status(step: StepPlan, made: list[Launch], log: StepLog, controller: _Controller) -> tuple[Status, str]:
    if step.skip:
        return Status.SKIPPED, step.skip
    if step.lost:
        return Status.LOST, step.lost
    word = controller.finals.get(step.id)
    made = [n for n in made if (step.id, n.number) not in controller.again or n.ending in FAILURES]
    failed = [n for n in made if n.ending in FAILURES]
    if failed:
        more = f" (and {len(failed) - 1} more of {len(made)} launches)" if len(failed) > 1 else ""
        return Status.FAILED, f"launch {failed[0].number}: {failed[0].reason}{more}"
    invalid = [n for n in made if n.ending is Ending.INVALID]
    if invalid and (word is None or word.status is not Status.PASSED):
        return Status.INVALID, f"launch {invalid[0].number}: {invalid[0].reason}"
    if word and word.status in (Status.FAILED, Status.LOST, Status.INVALID):
        return word.status, word.reason or "no reason given"
    given_up = [n for n in made if (step.id, n.number) in controller.lost_launches]
    again = sum(1 for s, _ in controller.again if s == step.id)
    if given_up:
        return Status.LOST, f"launch {given_up[0].number}: {given_up[0].reason}"
    if word and word.status in (Status.STOPPED, Status.SKIPPED):
        return word.status, word.reason or "no reason given"
    if word:
        return _status_of_done(step, made, log, word, step.job in controller.stopped_jobs, again)
    return _status_of_unfinished(step, made, controller)


def _status_of_done(
    step: StepPlan, made: list[Launch], log: StepLog, word: _Word, stopped_early: bool, again: int
) -> tuple[Status, str]:
    """The controller says that it was done: do the journals bear it out? ``again``: launches that do not count, as others were
    made in their place."""
    if not made and stopped_early:
        return Status.STOPPED, f"never started: {word.reason}"
    if not made:
        return Status.LOST, "said to be done, but no launch is in its journal"
    lost = [n for n in made if n.ending is Ending.LOST]
    if lost:
        return Status.LOST, f"launch {lost[0].number}: {lost[0].reason}"
    stray = [f for f in log.faults if f.launch is None]
    if stray:
        return Status.LOST, stray[0].what
    needed = word.launches if word.launches is not None else (1 if stopped_early else step.launches.min)
    invalid = [n for n in made if n.ending is Ending.INVALID]
    if invalid and len(made) - len(invalid) < (1 if stopped_early else step.launches.min):
        return Status.INVALID, f"launch {invalid[0].number}: {invalid[0].reason}"
    there = len(made) + again
    if there < needed or made[-1].number + 1 > there:
        return Status.LOST, f"{there} of {max(needed, made[-1].number + 1)} launches are in its journal"
    mute = [n for n in made if n.ending is Ending.STOPPED and not n.has_result and step.workload != "command"]
    if mute:
        return Status.FAILED, f"launch {mute[0].number}: {mute[0].reason}"
    count = f"{len(made)} launch{'es' if len(made) != 1 else ''} ok"
    return Status.PASSED, f"{count}; {word.reason}" if word.reason else count


def _status_of_unfinished(step: StepPlan, made: list[Launch], controller: _Controller) -> tuple[Status, str]:
    so_far = f" ({len(made)} launch(es) made)" if made else ""
    if step.host in controller.lost_hosts:
        return Status.LOST, f"host lost: {controller.lost_hosts[step.host]}{so_far}"
    if controller.interrupted:
        return Status.STOPPED, f"interrupted{so_far}"
    if made:
        return Status.LOST, f"the run ended before the step was done{so_far}"
    return Status.LOST, NEVER_STARTED


def _outcome(step: StepPlan, made: list[Launch], status: Status, reason: str) -> Outcome:
    good = [n for n in made if n.ending is Ending.OK or (n.ending is Ending.STOPPED and n.has_result)]
    started = [n.started for n in made if n.started is not None]
    ended = [n.ended for n in made if n.ended is not None]
    return Outcome(
        step=step.id,
        host=step.host,
        job=step.job,
        status=status,
        reason=reason,
        launches_ok=len(good),
        launches=len(made),
        started=min(started, default=None),
        ended=max(ended, default=None),
    )
