"""The figures of a run for a table: per host and job, threads by bench, with interval, speedup and ratio."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.analysis.bootstrap import Interval
from orchestrator.analysis.compare import pairs
from orchestrator.analysis.scaling import Point, points
from orchestrator.analysis.tables import marked_hosts
from orchestrator.model.plan import JobPlan
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


def figures(rebuilt: Rebuilt) -> list[HostFigures]:
    """In the order of the plan; a job without a measurement on a host is left out."""
    made = []
    marks = marked_hosts(rebuilt.tables)
    for job in rebuilt.plan.jobs:
        metric = _asked(job, "scaling", "metric") or _asked(job, "compare", "metric") or _METRIC
        found = points(rebuilt.tables, rebuilt.plan, job.name, metric)
        if not any(p.middle for p in found):
            continue
        axis, base = _baseline(rebuilt, job)
        ratios = {}
        if base:
            arms = pairs(rebuilt.tables, rebuilt.plan, job.name, metric, axis, base)
            ratios = {p.arm.step.id: p.ratio for p in arms}
        for host in rebuilt.plan.hosts:
            rows = [Figure(p, ratios.get(p.step.id)) for p in found if p.step.host == host]
            if any(r.point.middle for r in rows):
                rows.sort(key=lambda r: (r.point.step.placement, r.point.step.threads, r.point.step.bench))
                made.append(HostFigures(host, job.name, metric, base, host in marks, rows))
    return made


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
