"""How long what is planned takes at least, and how much it leaves in the run folder. For people: neither is a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from agents.wire import JOURNAL_BYTES
from orchestrator.model.plan import StepPlan
from orchestrator.model.playbook import Job

#: Around the measured part of a launch: start of the process, placing of memory, reading of the journal.
OVERHEAD_S = 0.3

# Of run folders as they came out, in bytes.
#: manifest of the bundle, tables that are empty, playbook, inventory, first and last notes
_FOLDER = 130_000
#: facts, notes about it
_HOST = 3_500
#: its line in the plan, its note, its rows in tables
_STEP = 1_200
#: all that a launch writes but once a second or once an interval
_LAUNCH = {"native": 3_600, "race": 2_900, "stress_ng": 3_100, "cyclictest": 2_600}
#: of a bench of many arms, each with counters and histograms of its own
_OF_ARMS = 12_000
_OTHER_LAUNCH = 1_200
#: a sampling of vital signs, each second
_VITAL = 330
_INTERVAL = 187
#: share of a journal's room beyond which vital signs and intervals give way (`agents.output`)
_ROOM = 0.5
#: tables, as share of the journals
_TABLES = 0.18


def at_least_s(jobs: Sequence[Job], steps: Sequence[StepPlan]) -> float:
    """Of the busiest host, from the fewest launches; where only a duration ends the launches, that."""
    busy: dict[str, float] = {}
    for s, launches in _launched(jobs, steps):
        busy[s.host] = busy.get(s.host, 0.0) + launches * _length(s)
    return round(max(busy.values(), default=0.0), 3)


def folder_bytes(jobs: Sequence[Job], steps: Sequence[StepPlan]) -> int:
    """Of the run folder afterwards, from the fewest launches as well. What a command prints is not in it, nor what goes wrong."""
    hosts = len({s.host for s in steps})
    room = {j.name: (j.limits.journal or JOURNAL_BYTES) * _ROOM for j in jobs}
    journals = sum(launches * _of_launch(s, room[s.job]) for s, launches in _launched(jobs, steps))
    return round(_FOLDER + hosts * _HOST + len(steps) * _STEP + journals * (1 + _TABLES))


def _launched(jobs: Sequence[Job], steps: Sequence[StepPlan]) -> Iterator[tuple[StepPlan, float]]:
    """The steps that are made, each with how often."""
    soak = {j.name: j.soak_s or 0.0 for j in jobs}
    made = [s for s in steps if not s.skip and not s.lost]
    shared = Counter((s.host, s.job) for s in made if s.launches.max is None)
    for s in made:
        if s.launches.max is not None:
            yield s, s.launches.min
        else:
            yield s, soak[s.job] / shared[s.host, s.job] / _length(s)


def _length(step: StepPlan) -> float:
    return step.warmup_s + step.seconds + OVERHEAD_S


def _of_launch(step: StepPlan, room: float) -> float:
    length = step.warmup_s + step.seconds
    often = _VITAL * length
    if step.workload == "native":
        often += _INTERVAL * length / step.interval_s
    fixed = _OF_ARMS if step.bench.startswith("op_") else _LAUNCH.get(step.workload, _OTHER_LAUNCH)
    return fixed + min(often, room)
