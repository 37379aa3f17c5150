"""The figures of a run for a table: per host and job, threads by bench, with interval, speedup and ratio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.analysis.bootstrap import Interval
from orchestrator.analysis.compare import pairs
from orchestrator.analysis.scaling import Point, points
from orchestrator.analysis.tables import marked_hosts
from orchestrator.model.plan import JobPlan
from orchestrator.model.race import WORKLOAD
from orchestrator.results.rebuild import Rebuilt

_METRIC = "ops_per_second"


@dataclass(frozen=True)
class Figure:
    """One row. ``ratio`` is to the same cell of the baseline; None where there is none."""

    point: Point
    ratio: Interval | None


@dataclass(frozen=True)
class HostFigures:
    """What one job measured on one host. ``base`` names what ``ratio`` is to."""

    host: str
    job: str
    metric: str
    base: str
    marked: bool
    rows: list[Figure]


def figures(rebuilt: Rebuilt, most: int) -> tuple[list[HostFigures], int]:
    """In the order of the plan, of at most ``most`` hosts for each job, and how many were left out; a job
    without a measurement on a host has none there."""
    made: list[HostFigures] = []
    left = 0
    for job in rebuilt.plan.jobs:
        if job.workload == WORKLOAD:
            continue  # rates under a sanitizer are no figures
        metric = _asked(job, "scaling", "metric") or _asked(job, "compare", "metric") or _METRIC
        hosts = _measured(rebuilt, job.name, metric)
        left += max(0, len(hosts) - most)
        made += _of_job(rebuilt, job, metric, hosts[:most])
    return made, left


def _measured(rebuilt: Rebuilt, job: str, metric: str) -> list[str]:
    rows = rebuilt.tables["samples"]
    rows = rows[(rows["job"] == job) & (rows["metric"] == metric) & (rows["phase"] == "measure") & rows["ok"]]
    found = set(rows["host"])
    return [h for h in rebuilt.plan.hosts if h in found]


def _of_job(rebuilt: Rebuilt, job: JobPlan, metric: str, hosts: list[str]) -> Iterator[HostFigures]:
    tables, plan = rebuilt.tables, rebuilt.plan
    marks = marked_hosts(tables)
    axis, base = _baseline(rebuilt, job)
    ratios = {}
    if base and hosts:
        arms = pairs(tables, plan, job.name, metric, axis, base, hosts)
        ratios = {p.arm.step.id: p.ratio for p in arms}
    found = points(tables, plan, job.name, metric, hosts) if hosts else []
    for host in hosts:
        rows = [Figure(p, ratios.get(p.step.id)) for p in found if p.step.host == host]
        rows.sort(key=lambda r: (r.point.step.placement, r.point.step.threads, r.point.step.bench))
        yield HostFigures(host, job.name, metric, base, host in marks, rows)


def _asked(job: JobPlan, analysis: str, parameter: str) -> str | None:
    for spec in job.judges:
        if spec.name == analysis and isinstance(spec.parameters.get(parameter), str):
            return str(spec.parameters[parameter])
    return None


def _baseline(rebuilt: Rebuilt, job: JobPlan) -> tuple[str, str]:
    """(axis, base) of a comparison that was asked for, else against a bench that is called a baseline."""
    axis, base = _asked(job, "compare", "axis"), _asked(job, "compare", "base")
    if axis and base:
        return axis, base
    benches = {s.bench for s in rebuilt.plan.steps if s.job == job.name}
    named = sorted(b for b in benches if b.startswith("baseline"))
    return ("bench", named[0]) if named and len(benches) > len(named) else ("", "")
