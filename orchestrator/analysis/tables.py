"""What every analysis asks of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan, StepPlan

Tables = Mapping[str, pd.DataFrame]

#: Rows of evidence that a finding carries; the tables hold the rest.
EVIDENCE_ROWS = 16

MARK = "host emulated or shared: its figures enter no baseline"


@runtime_checkable
class ByStep(Protocol):
    """Tables of which those of one step can be had without the others'."""

    def of_step(self, table: str, step: str) -> pd.DataFrame: ...


def of_step(tables: Tables, table: str, step: StepPlan) -> pd.DataFrame:
    """The rows of one step: launch, metric, value, unit and t_s of a long table."""
    if isinstance(tables, ByStep):
        return tables.of_step(table, step.id)
    rows = tables[table]
    return rows[rows["step"] == step.id]


@dataclass(frozen=True)
class Series:
    """The launches of one step: values of one metric, one per launch that is ok, in their order."""

    step: StepPlan
    values: tuple[float, ...]
    unit: str


def series(tables: Tables, plan: Plan, jobs: Iterable[str], metric: str) -> list[Series]:
    """One per planned step of these jobs that is not skipped, in the order of the plan; empty values
    where nothing was measured."""
    names = set(jobs)
    rows = tables["samples"]
    rows = rows[(rows["phase"] == "measure") & (rows["metric"] == metric) & rows["ok"].fillna(False)]
    rows = rows[rows["job"].isin(names)].sort_values(["step", "launch"])
    values: dict[str, list[float]] = {}
    units: dict[str, str] = {}
    for step, value, unit in zip(rows["step"], rows["value"], rows["unit"], strict=True):
        values.setdefault(step, []).append(value)
        units[step] = unit
    return [
        Series(s, tuple(values.get(s.id, ())), units.get(s.id, ""))
        for s in plan.steps
        if s.job in names and not s.skip
    ]


def jobs_of(plan: Plan, job: JobPlan | None) -> list[JobPlan]:
    """The job, or all of them where an analysis looks at the whole run."""
    return list(plan.jobs) if job is None else [job]


def marked_hosts(tables: Tables) -> frozenset[str]:
    """Hosts whose figures are not to be compared with another run's."""
    hosts = tables["hosts"]
    return frozenset(hosts["host"][hosts["emulated"].fillna(False)])


def marked(summary: str, host: str, marks: frozenset[str]) -> str:
    return f"{summary} ({MARK})" if host in marks else summary


def unmeasured(analysis: str, job: str, metric: str, steps: Sequence[StepPlan]) -> list[Finding]:
    """Cells that should have been measured and were not: one finding per host, however many cells."""
    by_host: dict[str, list[StepPlan]] = {}
    for step in steps:
        by_host.setdefault(step.host, []).append(step)
    return [
        Finding(
            analysis,
            f"{job} {host}",
            Verdict.UNKNOWN,
            f"{metric} was not measured in {len(cells)} cell{'s' if len(cells) > 1 else ''} on {host}",
            evidence=[Evidence(host=host, job=job, step=s.id) for s in cells[:EVIDENCE_ROWS]],
        )
        for host, cells in by_host.items()
    ]


def evidence(rows: pd.DataFrame) -> list[Evidence]:
    """The first rows of `events`, as evidence."""
    return [
        Evidence(
            host=_text(r.host),
            job=_text(r.job),
            step=_text(r.step),
            launch=_number(r.launch),
            seq=_number(r.seq),
            text=_text(r.text),
        )
        for r in rows.head(EVIDENCE_ROWS).itertuples()
    ]


def data_of(row: Any) -> dict[str, Any]:
    """The recorded data of an event."""
    value = json.loads(row)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
