"""Reading a run's journals: the controller's, and those of the steps, each entry exactly once (`ledger`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agents.wire import Entry
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.results.clocks import by_our_clock, clock_offsets
from orchestrator.results.course import Course
from orchestrator.results.folder import JournalFault, RunFolder, read_journal
from orchestrator.results.ledger import StepLog, read_step

#: Is given what a step was over time, as soon as its journal is read.
Keep = Callable[[StepPlan, StepLog, Course], None]


@dataclass(frozen=True)
class Journals:
    """All that a run folder's journals say. ``steps`` has no key for a step without a file."""

    controller: list[Entry] = field(default_factory=list)
    controller_faults: list[str] = field(default_factory=list)
    steps: dict[str, StepLog] = field(default_factory=dict)


def read_journals(folder: RunFolder, plan: Plan, keep: Keep | None = None) -> Journals:
    """Wall-clock times by the controller's clock. Raises OSError only where a file is there and cannot be read."""
    faults: list[JournalFault] = []
    controller = list(read_journal(folder.controller_journal, faults))
    steps = read_steps(folder, plan.steps, keep)
    offsets = clock_offsets(controller)
    for step in plan.steps:
        offset = offsets.get(step.host)
        if offset and step.id in steps:
            log = steps[step.id]
            steps[step.id] = replace(log, launches=by_our_clock(log.launches, offset))
    return Journals(controller, [f"line {f.line}: {f.what}" for f in faults], steps)


def read_steps(
    folder: RunFolder, planned: Iterable[StepPlan], keep: Keep | None = None
) -> dict[str, StepLog]:
    """The journals of these steps, by step; none for a step without a file."""
    steps = {}
    for step in planned:
        path = folder.journal(step.host, step.id)
        if path.is_file():
            course = None if keep is None else Course()
            steps[step.id] = log = read_step(path, step.id, course)
            if keep is not None and course is not None:
                keep(step, log, course)
    return steps
