"""How does throughput grow with threads? Speedup and efficiency against the smallest thread count,
per host, bench, placement and every other axis of the matrix."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agents.wire import dumps
from orchestrator.analysis.bootstrap import MIN_LAUNCHES, Interval, median, ratio
from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.tables import Series, Tables, jobs_of, marked, marked_hosts, series, unmeasured
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan, StepPlan

SHAPE: Shape = {
    "metric": Parameter("text", "a rate that the bench reports, such as ops_per_second", required=True),
    "min_efficiency": Parameter(
        "fraction", "efficiency that every thread count must reach; none: report only"
    ),
}


@dataclass(frozen=True)
class Point:
    """One thread count of one curve. ``speedup`` over the curve's smallest thread count; None for that
    one itself, and where either was not measured."""

    curve: str
    step: StepPlan
    unit: str
    middle: Interval | None
    speedup: Interval | None
    #: thread count over that of the curve's first point
    factor: float

    @property
    def efficiency(self) -> float | None:
        return self.speedup.middle / self.factor if self.speedup else None


def points(
    tables: Tables, plan: Plan, job: str, metric: str, hosts: Collection[str] | None = None
) -> list[Point]:
    """By curve in the order of the plan, within a curve by threads. ``hosts`` None: of all hosts."""
    curves: dict[str, list[Series]] = {}
    for one in series(tables, plan, [job], metric):
        if hosts is None or one.step.host in hosts:
            curves.setdefault(curve_of(one.step), []).append(one)
    return [p for name, members in curves.items() for p in _curve(name, members, plan.seed, metric)]


def curve_of(step: StepPlan) -> str:
    """What all points of a curve share, in words: host, bench, placement, other axes."""
    others = {k: v for k, v in step.cell.items() if k not in ("threads", "placement", "bench")}
    words = [step.host, step.bench or step.workload, step.placement, dumps(others) if others else ""]
    return " ".join(w for w in words if w)


def _curve(name: str, members: list[Series], seed: int, metric: str) -> Iterator[Point]:
    ordered = sorted(members, key=lambda s: s.step.threads)
    first = ordered[0]
    for one in ordered:
        middle = median(one.values, seed, metric, one.step.id) if one.values else None
        speedup = None
        if one is not first and one.values and first.values:
            speedup = ratio(one.values, first.values, seed, metric, one.step.id, first.step.id)
        yield Point(name, one.step, one.unit, middle, speedup, one.step.threads / first.step.threads)


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    asked = read(SHAPE, parameters)
    marks = marked_hosts(tables)
    findings = []
    for one in jobs_of(plan, job):
        found = points(tables, plan, one.name, asked["metric"])
        if not any(p.middle for p in found):
            text = f"no measurement of {asked['metric']} in job {one.name}"
            findings.append(Finding("scaling", one.name, Verdict.UNKNOWN, text))
            continue
        metric, wanted = asked["metric"], asked["min_efficiency"]
        findings += [_finding(p, p.middle, metric, wanted, marks) for p in found if p.middle]
        findings += unmeasured("scaling", one.name, metric, [p.step for p in found if not p.middle])
    return findings


def _finding(
    point: Point, middle: Interval, metric: str, wanted: float | None, marks: frozenset[str]
) -> Finding:
    step = point.step
    subject = f"{step.job} {point.curve} threads={step.threads}"
    here = [Evidence(host=step.host, job=step.job, step=step.id)]
    if point.speedup is None:
        if point.factor == 1:
            text = f"{metric} {middle.middle:.4g} {point.unit} with {step.threads} threads, the base"
            return Finding(
                "scaling", subject, Verdict.HOLDS, marked(text, step.host, marks), 1.0, evidence=here
            )
        text = f"no speedup with {step.threads} threads: the smallest thread count was not measured, or is 0"
        return Finding("scaling", subject, Verdict.UNKNOWN, text, evidence=here)
    return _judged(point, subject, here, wanted, marks)


def _judged(
    point: Point, subject: str, here: list[Evidence], wanted: float | None, marks: frozenset[str]
) -> Finding:
    speedup, step = point.speedup, point.step
    assert speedup is not None
    bound = wanted * point.factor if wanted is not None else None
    verdict = Verdict.HOLDS
    if speedup.low is None or speedup.high is None:
        verdict = Verdict.UNKNOWN
        spread = f"no interval from {speedup.launches} launch(es), {MIN_LAUNCHES} are needed"
    else:
        spread = f"{speedup.low:.3g} to {speedup.high:.3g}{speedup.caution}"
        if bound is not None and speedup.low < bound:
            verdict = Verdict.VIOLATED if speedup.high < bound else Verdict.UNKNOWN
    text = (
        f"speedup {speedup.middle:.3g} ({spread}) with {step.threads} threads, "
        f"efficiency {speedup.middle / point.factor:.2f}"
    )
    if wanted is not None:
        text += f", asked {wanted:.2f}"
    return Finding(
        analysis="scaling",
        subject=subject,
        verdict=verdict,
        summary=marked(text, step.host, marks),
        value=speedup.middle,
        bound=bound,
        unit="",
        low=speedup.low,
        high=speedup.high,
        evidence=here,
    )
