"""Reading a run's journals, each entry exactly once.

A step's file holds the entries of its launches, one launch after the other, as they came from the
host. After a reconnect the same entry may be there twice; after a crash a line may be cut, changed
or missing. Nothing of that is guessed over: what could not be read is a fault of a launch, and a
launch with a fault never counts as passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from agents.wire import Entry
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.results.clocks import by_our_clock, clock_offsets
from orchestrator.results.folder import JournalFault, RunFolder, read_journal


@dataclass(frozen=True)
class Fault:
    """Something that the journal of a step should say and does not. ``launch`` None: of no launch
    that can be told."""

    launch: int | None
    what: str


@dataclass(frozen=True)
class StepLog:
    """The launches of one step: entries in order of their sequence number, each once."""

    launches: dict[int, list[Entry]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    #: entries that were there more than once with the same content
    repeated: int = 0


@dataclass(frozen=True)
class Journals:
    """All that a run folder's journals say. ``steps`` has no key for a step without a file."""

    controller: list[Entry] = field(default_factory=list)
    controller_faults: list[str] = field(default_factory=list)
    steps: dict[str, StepLog] = field(default_factory=dict)


def read_journals(folder: RunFolder, plan: Plan) -> Journals:
    """Wall-clock times by the controller's clock. Raises OSError only where a file is there and cannot be read."""
    faults: list[JournalFault] = []
    controller = list(read_journal(folder.controller_journal, faults))
    steps = read_steps(folder, plan.steps)
    offsets = clock_offsets(controller)
    for step in plan.steps:
        offset = offsets.get(step.host)
        if offset and step.id in steps:
            log = steps[step.id]
            steps[step.id] = replace(log, launches=by_our_clock(log.launches, offset))
    return Journals(controller, [f"line {f.line}: {f.what}" for f in faults], steps)


def read_steps(folder: RunFolder, planned: Iterable[StepPlan]) -> dict[str, StepLog]:
    """The journals of these steps, by step; none for a step without a file."""
    steps = {}
    for step in planned:
        path = folder.journal(step.host, step.id)
        if path.is_file():
            found: list[JournalFault] = []
            steps[step.id] = ingest(_merged(read_journal(path, found), found), step.id)
    return steps


def _merged(entries: Iterator[Entry], faults: list[JournalFault]) -> Iterator[Entry | JournalFault]:
    """Entries and faults in the order of the file."""
    told = 0
    for entry in entries:
        yield from faults[told:]
        told = len(faults)
        yield entry
    yield from faults[told:]


def ingest(lines: Iterable[Entry | JournalFault], step: str) -> StepLog:
    """Each entry once. A line that could not be read counts against the launch whose entries it
    stands among; entries that are missing, that differ from their first reading, or that follow an
    `ended` count against their own launch."""
    seen: dict[int, dict[int, Entry]] = {}
    faults: list[Fault] = []
    unread: list[str] = []
    open_launch: int | None = None
    repeated = 0
    for line in lines:
        if isinstance(line, JournalFault):
            text = f"line {line.line} of its journal: {line.what}"
            if open_launch is None:
                unread.append(text)
            else:
                faults.append(Fault(open_launch, text))
            continue
        faults.extend(Fault(line.launch, text) for text in unread)
        unread = []
        known = seen.setdefault(line.launch, {})
        if line.seq in known:
            repeated += 1
            if known[line.seq] != line:
                faults.append(Fault(line.launch, f"two different entries with number {line.seq}"))
        else:
            known[line.seq] = line
        if line.kind == "started" and line.data.get("step", step) != step:
            faults.append(Fault(line.launch, f"an entry of step {line.data['step']!r}"))
        open_launch = None if line.kind == "ended" else line.launch
    faults.extend(Fault(None, text) for text in unread)
    launches = {n: [known[s] for s in sorted(known)] for n, known in sorted(seen.items())}
    for number, entries in launches.items():
        faults.extend(Fault(number, what) for what in _sequence_faults(entries))
    return StepLog(launches, faults, repeated)


def _sequence_faults(entries: list[Entry]) -> Iterator[str]:
    expected = 0
    for entry in entries:
        if entry.seq != expected:
            missing = f"{expected}" if entry.seq == expected + 1 else f"{expected} to {entry.seq - 1}"
            yield f"entries missing: {missing}"
        expected = entry.seq + 1
    if any(e.kind == "ended" for e in entries[:-1]):
        yield "entries after its end"
