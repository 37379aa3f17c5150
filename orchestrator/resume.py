"""The rest of a run that was interrupted or lost hosts: its steps that are missing, in its own folder, as they were planned.

Hosts that did not answer when it was planned are planned for as soon as they do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.wire import Entry, Facts, WireError
from orchestrator.bundle.build import default_source
from orchestrator.bundle.manifest import Bundle
from orchestrator.engine.names import benches_of, known_names
from orchestrator.engine.prepare import build
from orchestrator.engine.resume import made_again
from orchestrator.engine.session import Built, Request, RunObserver, Session
from orchestrator.engine.survey import remarks, survey
from orchestrator.errors import InputError, InputErrors
from orchestrator.fleet.cluster import check_ports
from orchestrator.model.inventory import Inventory, read_inventory
from orchestrator.model.outcome import Status
from orchestrator.model.plan import Plan, StepPlan, read_plan
from orchestrator.model.reading import check_playbook
from orchestrator.planning.plan import plan_late
from orchestrator.results.folder import RunFolder, read_journal
from orchestrator.results.journals import read_steps
from orchestrator.results.rebuild import rebuild, statuses
from orchestrator.run import Ran, begin, carry_out, keep_facts, log_to
from orchestrator.transport import Connections, Opener, open_link

#: Reasons of an `ended` that say nothing about what ran.
_CUT = {
    "stopped": "stopped when the run was",
    "disk": "its disk was full",
    "error": "its agent gave up",
    "alone": "nobody followed it",
}


def resume(name: str, request: Request, observer: RunObserver, interrupted: Callable[[], bool]) -> Ran:
    """``name`` as for `orch report`; of ``request`` its runs, argv, forks and patience count. What still runs on the hosts is gone on
    with, what ended meanwhile is collected, a launch that was cut short is made again, what has failed stays failed. Raises
    InputError (no such run, sources that are others by now, a run under way), before anything is touched."""
    folder = RunFolder.open(request.runs, name)
    with folder.held(), Connections(open_link) as ways:
        return _rest(folder, request, observer, interrupted, ways.open)


def _rest(
    folder: RunFolder,
    request: Request,
    observer: RunObserver,
    interrupted: Callable[[], bool],
    opener: Opener,
) -> Ran:
    try:
        plan = read_plan(folder.plan)
    except (OSError, ValueError, WireError) as e:
        raise InputError(str(folder.plan), f"is no plan: {e}") from e
    left, unasked = list(missing(folder, plan)), unplanned(folder, plan)
    if not left and not unasked:
        observer.stage(f"{folder.id}: nothing is missing")
        return Ran(folder, rebuild(folder))
    check_ports(plan.cluster)
    fleet, errors = read_inventory(folder.path / "inventory.yml")
    if fleet is None or errors:
        raise InputErrors(errors)
    gone = [*left, *unasked]
    built = build(default_source(), list(dict.fromkeys(s.variant for s in gone)))
    _check_same(folder, built)
    asked = [fleet.hosts[h] for h in plan.hosts if any(s.host == h for s in gone)]
    observer.stage(
        f"{folder.id}: {len(gone)} of {len(plan.steps)} steps are missing, on {len(asked)} host(s)"
    )
    found = survey(asked, agent=built.agent, forks=request.forks, opener=opener)
    for text in remarks(found):
        observer.stage(text)
    late = {s.host for s in unasked if s.host in found.facts}
    if late:
        plan = planned_late(folder, plan, {s.job for s in unasked}, fleet, {h: found.facts[h] for h in late})
        left = list(missing(folder, plan))
    if not left:
        return Ran(folder, rebuild(folder))
    if interrupted():
        raise KeyboardInterrupt
    todo = replace(plan, steps=[s for s in left if s.host in found.facts])
    for path in [folder.controller_journal, *(folder.journal(s.host, s.id) for s in left)]:
        folder.mend(path)
    once_more = replace(request, again=True)
    session = Session(folder, fleet.hosts, found, built, once_more, observer, interrupted, opener)
    with log_to(folder):
        begin(session, plan)
        for about in cut_short(folder, left):
            folder.note("launch_again", about)
        for step in left:
            if step.host not in found.facts:
                about = {"host": step.host, "job": step.job, "step": step.id}
                folder.note(
                    "step_lost", {**about, "reason": found.unreachable.get(step.host, "out of reach")}
                )
        observer.planned(plan, folder.id)
        return carry_out(session, plan, todo)


def planned_late(
    folder: RunFolder, plan: Plan, jobs: Collection[str], fleet: Inventory, facts: Mapping[str, Facts]
) -> Plan:
    """In the folder too: the plan with the steps of ``jobs`` on hosts that nothing was known of when it was made. The caller holds the
    folder. Raises InputErrors where what it was planned from is not there any more."""
    source = default_source()
    names = known_names(benches_of(source), source)
    playbook, errors = check_playbook(folder.path / "playbook.yml", names, sets={}, environ={})
    if playbook is None or errors:
        raise InputErrors(errors)
    scenarios = names.scenarios() if "explore" in playbook.variants else {}
    made = plan_late(plan, jobs, playbook, fleet, facts, scenarios=scenarios)
    keep_facts(folder, facts)
    folder.plan_again(made.to_json())
    return made


def cut_short(folder: RunFolder, steps: Sequence[StepPlan]) -> Iterator[dict[str, Any]]:
    """The launches that no host can make whole any more, as data of `launch_again` notes: stopped with the run, given up by the agent,
    or damaged in their journal. Of those that merely have no end yet the hosts know more."""
    already = made_again(read_journal(folder.controller_journal, []))
    about_step = {s.id: {"host": s.host, "job": s.job, "step": s.id} for s in steps}
    for step, log in read_steps(folder, steps).items():
        damaged = {f.launch: f.what for f in log.faults}
        for number, entries in log.launches.items():
            why = _CUT.get(str(entries[-1].data.get("reason"))) if entries[-1].kind == "ended" else None
            why = why or damaged.get(number)
            if why is not None and number not in already.get(step, ()):
                yield {**about_step[step], "launch": number, "reason": why}


def unplanned(folder: RunFolder, plan: Plan) -> list[StepPlan]:
    """What stands in the plan for the steps of hosts that nothing was known of, without the jobs that a stop condition has ended."""
    stopped = _stopped(read_journal(folder.controller_journal, []))
    return [s for s in plan.steps if s.lost and s.job not in stopped]


def missing(folder: RunFolder, plan: Plan) -> Iterator[StepPlan]:
    """Steps that ended for want of time or of a host, and not by what they are or by a stop condition."""
    said = list(read_journal(folder.controller_journal, []))
    stopped = _stopped(said)
    ended = statuses(folder, plan.steps, said)
    for step in plan.steps:
        status, reason = ended[step.id]
        waits = status is Status.SKIPPED and reason.startswith("needs ")
        if step.skip or step.lost or step.job in stopped:
            continue
        if waits or status in (Status.LOST, Status.STOPPED, Status.INVALID):
            yield step


def _stopped(said: Iterable[Entry]) -> set[str]:
    """The jobs that a stop condition has ended."""
    return {str(e.data.get("job")) for e in said if e.kind == "stop"}


def _check_same(folder: RunFolder, built: Built) -> None:
    """Half of a run by one program and half by another would be neither."""
    path = folder.path / "bundle.json"
    if not path.is_file() or built.bundle is None:
        return
    before = {v.name: v.sha256 for v in Bundle.from_json(path.read_text()).variants}
    for variant in built.bundle.variants:
        if before.get(variant.name, variant.sha256) != variant.sha256:
            raise InputError(
                folder.id,
                f"its variant {variant.name} is of other sources than those that are here",
                "check out the commit that its report shows",
            )
