"""The plan: what a run will do, on disk before the first host is touched.

A plan is a pure function of playbook, inventory, facts and seed, byte for byte: it holds no clock
reading, no run id and nothing that was drawn at random.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.wire import decode, dumps

PLAN_SCHEMA = 1


@dataclass(frozen=True)
class Launches:
    """How often a step is launched: at least ``min``, at most ``max`` times, until the relative
    half-width of the interval around the median of ``metric`` is at most ``ci`` (0.02 is 2%).
    ``max`` None: until a stop condition of the job ends it."""

    min: int = 1
    max: int | None = 1
    metric: str | None = None
    ci: float | None = None


@dataclass(frozen=True)
class StepPlan:
    """One cell of one job on one host. Every one of them ends with a status and a reason."""

    #: unique in the plan, safe as a file name: ``JOB-0007@HOST``; stable for the same inputs
    id: str
    host: str
    job: str
    #: the matrix cell: axis → value, {} where the job has no matrix
    cell: dict[str, Any]
    workload: str
    #: what the workload gets: ``with`` and the cell's axes, without those that place the threads
    settings: dict[str, Any]
    bench: str
    variant: str
    threads: int
    #: as asked: compact | scatter | remote | smt | node:K | nodes:N | cpus:LIST | none
    placement: str
    #: as resolved on this host, in thread order
    cpus: list[int]
    mem: str
    warmup_s: float
    seconds: float
    interval_s: float
    seed: int
    launches: Launches
    #: why this cell cannot run on this host ("" where it can): it ends as skipped
    skip: str = ""
    #: why the host could not be planned for ("" where it could): it ends as lost
    lost: str = ""
    #: true where measured threads share the housekeeping CPU with agent and Ray
    shares_housekeeping: bool = False


@dataclass(frozen=True)
class StopSpec:
    """One stop condition: its name in the table of `stops`, and its argument."""

    name: str
    argument: Any


@dataclass(frozen=True)
class JudgeSpec:
    """One analysis asked for by the job: its name in the table of `analysis`, and its parameters."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NemesisSpec:
    """A fault that befalls each host of a job: about every ``every_s``, for ``for_s`` (0: it is over at once). ``use``: share of the
    memory; ``fault``: of a link; ``when``: during launches or between them; ``by_s``: how far a clock goes, seconds."""

    name: str
    every_s: float
    for_s: float = 0.0
    use: float = 0.0
    fault: str = ""
    when: str = "during"
    by_s: float = 0.0


@dataclass(frozen=True)
class JobPlan:
    name: str
    workload: str
    needs: list[str]
    stops: list[StopSpec]
    judges: list[JudgeSpec]
    #: wall-clock bound of one launch, seconds
    wall_s: float
    memory_bytes: int | None = None
    #: how long a launch goes on without anybody who reads its journal, seconds; None: to its other limits
    alone_s: float | None = None
    #: the most that the journal of one launch takes, unpacked; None: as the agent has it
    journal_bytes: int | None = None
    #: each launch begins at the same moment on all hosts
    together: bool = False
    nemesis: list[NemesisSpec] = field(default_factory=list)


@dataclass(frozen=True)
class LeasePlan:
    """How a run holds its hosts. ``busy``: wait | skip | fail, when another holds one; times in seconds."""

    #: the longest that a host is held, whatever happens
    longest_s: float
    busy: str
    #: of `wait`
    patience_s: float
    #: how long one sign of life counts: afterwards the host frees itself
    ttl_s: float
    #: for whoever finds the host taken
    what: str


@dataclass(frozen=True)
class ClusterPlan:
    """How the run's Ray cluster is made."""

    #: encrypted, with certificates that are made for the run
    tls: bool = False
    #: how soon a node that is silent counts as dead: short (seconds) | long (half a minute)
    health: str = "long"
    #: first and last of the ports that its processes use on every machine; empty: any
    ports: list[int] = field(default_factory=list)
    #: of each node
    object_store_bytes: int = 80 * 2**20


@dataclass(frozen=True)
class Plan:
    schema: int
    name: str
    seed: int
    hosts: list[str]
    variants: list[str]
    jobs: list[JobPlan]
    exports: list[str]
    #: seconds, from the minimum of launches, per host in parallel; an estimate for people
    estimate_s: float
    steps: list[StepPlan]
    #: None: hosts are not held
    lease: LeasePlan | None = None
    #: setting of the kernel → value, while the hosts are held
    tune: dict[str, str] = field(default_factory=dict)
    cluster: ClusterPlan = ClusterPlan()
    #: of the run folder afterwards, from the minimum of launches, without what commands print; an estimate for people
    estimate_bytes: int = 0

    def job(self, name: str) -> JobPlan:
        return next(j for j in self.jobs if j.name == name)

    def to_json(self) -> str:
        """The bytes of plan.json: one line per step, so that a diff of two plans can be read."""
        head = asdict(replace(self, steps=[]))
        del head["steps"]
        for unused in [key for key in ("lease", "tune") if not head[key]]:
            del head[unused]
        if self.cluster == ClusterPlan():
            del head["cluster"]
        for job in head["jobs"]:
            for unused in [
                key for key in ("together", "alone_s", "journal_bytes", "nemesis") if not job[key]
            ]:
                del job[unused]
        # not asdict: it copies every value of every step, and there may be ten thousand
        body = ",\n".join(dumps({**vars(s), "launches": vars(s.launches)}) for s in self.steps)
        return dumps(head)[:-1] + ',"steps":[\n' + body + "\n]}\n"

    @staticmethod
    def from_json(value: Any) -> Plan:
        """Raises `agents.wire.WireError` with the path of what is missing or wrong."""
        return decode(Plan, value)


def read_plan(path: Path) -> Plan:
    import json

    return Plan.from_json(json.loads(path.read_text()))
