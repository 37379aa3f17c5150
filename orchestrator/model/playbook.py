"""The playbook: what a person asks for. Reading a file of it is `model.reading`."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from agents.wire import JOURNAL_BYTES
from agents.workloads import TABLE as WORKLOADS
from orchestrator.model import fields, held, race
from orchestrator.model.cluster import ClusterSpec
from orchestrator.model.fields import Strict, wrong
from orchestrator.model.nemesis import Nemesis

LEAST_JOURNAL = 256 << 10
#: Stop conditions that say how much a job is meant to do.
_ENOUGH = ("duration", "operations", "confidence", "deadline")


class Bundle(Strict):
    """The native source tree and the variants that are built of it."""

    source: Literal["native"] = "native"
    variants: list[fields.Variant] = Field(default=["release"], min_length=1)


class Measure(Strict):
    """Lengths of one launch. ``seconds`` None: the stop condition `duration` says it."""

    warmup: fields.Duration = 0.0
    seconds: fields.Duration | None = None
    interval: fields.Duration = 1.0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.seconds == 0:
            raise wrong("seconds: a measured window of 0", "leave `seconds` out, or write such as 5s")
        if self.interval < 0.01:
            raise wrong("interval: shorter than 10ms")
        return self


class Until(Strict):
    """Launch until the interval around the median of ``metric`` is at most ± ``ci`` of it."""

    metric: str = Field(min_length=1)
    ci: fields.Share


class LaunchSpec(Strict):
    """How often a cell is launched. A plain number stands for exactly that many."""

    min: int = Field(default=1, ge=1)
    max: int | None = Field(default=None, ge=1)
    until: Until | None = None

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"min": value, "max": value}
        return value

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise wrong(f"max {self.max} is less than min {self.min}")
        if self.max is not None and self.max > self.min and self.until is None:
            raise wrong(
                f"min {self.min} and max {self.max} without `until`: nothing says when to end between them",
                "add until: {metric: ops_per_second, ci: 2%}",
            )
        return self


class LimitSpec(Strict):
    """What one launch may use: wall clock, memory and room for its journal; and how long it goes on alone, without anybody
    who reads its journal."""

    wall: fields.Duration | None = None
    memory: fields.Size | None = None
    alone: fields.Duration | None = None
    #: from half of it on intervals and vital signs are left out, at all of it the launch ends as a flood
    journal: fields.Size | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.journal is not None and self.journal < LEAST_JOURNAL:
            raise wrong(
                f"journal: {self.journal} bytes are no room for a result and the evidence of a failure",
                f"write at least {LEAST_JOURNAL >> 10}KiB; without it a journal may take {JOURNAL_BYTES >> 20}MiB",
            )
        return self


class Job(Strict):
    """One workload over a matrix of cells, on each selected host."""

    name: fields.Name
    workload: fields.Workload
    needs: list[str] = Field(default=[])
    hosts: str | None = None
    settings: dict[str, Any] = Field(default={}, alias="with")
    matrix: dict[str, list[Any]] = Field(default={})
    measure: Measure = Measure()
    launches: LaunchSpec | None = None
    stop: list[fields.Stop] = Field(default=[])
    judge: list[fields.Judge] = Field(default=[])
    variant: fields.Variant = "release"
    placement: fields.Placement = "compact"
    threads: fields.Threads = 1
    mem: fields.Memory | None = None
    limits: LimitSpec = LimitSpec()
    #: each launch begins at the same moment on all hosts
    together: bool = False
    #: faults on purpose, during its launches or between them
    nemesis: list[Nemesis] = Field(default=[])
    #: of the first launch, as it is: to repeat one that failed. None: derived from the playbook's
    seed: int | None = Field(default=None, ge=0, lt=2**63)

    @property
    def tells_seconds(self) -> bool:
        """Whether the length of a launch may stand among the settings of its workload."""
        workload = WORKLOADS.get(self.workload)
        return workload is not None and "seconds" in workload.SETTINGS

    @property
    def goes_on(self) -> bool:
        """Whether a stop condition says how much is enough: launches are made until then."""
        return any(s.name in _ENOUGH for s in self.stop)

    @property
    def soak_s(self) -> float | None:
        """Argument of the stop condition `duration`, where there is one."""
        return next((s.argument for s in self.stop if s.name == "duration"), None)


class Playbook(Strict):
    """A whole file, with variables filled in and defaults merged into its jobs."""

    orch: Literal[1]
    name: fields.Name
    seed: int = Field(default=0, ge=0, lt=2**63)
    vars: dict[str, Any] = Field(default={})
    bundle: Bundle | None = None
    hosts: str = "all"
    where: fields.Where | None = None
    lease: held.Lease = None
    tune: held.Tune = Field(default={})
    cluster: ClusterSpec | None = None
    jobs: list[Job] = Field(min_length=1)
    exports: list[fields.Export] = Field(default=["parquet"])

    @model_validator(mode="after")
    def _held(self) -> Self:
        if self.tune and self.lease is None:
            raise wrong("tune without `lease`: nobody could say when to put it back", "add such as lease: 6h")
        return self

    @property
    def variants(self) -> list[str]:
        """What is built: as ``bundle`` says, otherwise what the jobs use."""
        if self.bundle is not None:
            return list(self.bundle.variants)
        return list(dict.fromkeys(v for job in self.jobs for v in variants_of(job)))


def variants_of(job: Job) -> list[str]:
    """None where its workload needs no native program."""
    if job.workload == race.WORKLOAD:
        return race.variants(job.settings)
    workload = WORKLOADS.get(job.workload)
    if workload is not None and not workload.NEEDS_PROGRAM:
        return []
    return list(job.matrix.get("variant", [job.variant]))


#: how a field that holds no text holds an expression
_EXPRESSION = {"type": "string", "pattern": r"^\{\{.*\}\}$"}


def playbook_schema() -> dict[str, Any]:
    """JSON Schema of a playbook file, for editors."""
    schema = Playbook.model_json_schema(by_alias=True)
    job = schema["$defs"]["Job"]
    job["properties"]["launches"]["anyOf"].append({"type": "integer", "minimum": 1})
    _let_expressions_stand(schema)
    defaults = {**job["properties"]}
    schema["properties"]["defaults"] = {
        "type": "object",
        "description": "Merged under each job.",
        "additionalProperties": False,
        "properties": {k: v for k, v in defaults.items() if k not in ("name", "needs")},
    }
    # what a job lacks may stand in `defaults`
    job["required"] = ["name"]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "orch playbook"
    return schema


def _let_expressions_stand(node: Any) -> None:
    """Wherever a number, true or false may be written, an expression that gives one may be, too."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if not isinstance(value, dict | list):
            continue
        if isinstance(value, dict) and value.get("type") in ("integer", "number", "boolean"):
            about = {k: value.pop(k) for k in ("title", "description", "default") if k in value}
            node[key] = (
                {**about, "anyOf": [value, _EXPRESSION]} if "const" not in value else {**about, **value}
            )
        else:
            _let_expressions_stand(value)
