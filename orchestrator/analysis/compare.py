"""Is one arm faster than another? Ratio of medians over launches in each pair of cells that differ in one
axis only; better, worse, or no difference shown, and then how small a difference could have been shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from agents.wire import dumps
from orchestrator.analysis.bootstrap import MIN_LAUNCHES, Interval, ratio
from orchestrator.analysis.parameters import Parameter, Parameters, ParametersError, Shape, read
from orchestrator.analysis.tables import Series, Tables, jobs_of, marked, marked_hosts, series, unmeasured
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan, StepPlan

SHAPE: Shape = {
    "metric": Parameter("text", "metric that the bench reports", required=True),
    "axis": Parameter(
        "text", "axis of the matrix, or bench, variant, threads, placement, job", required=True
    ),
    "base": Parameter("text", "value of the axis that the others are held against", required=True),
    "min_effect": Parameter("fraction", "differences below this are not called one", default=0.015),
    "min_ratio": Parameter("number", "ratio that must be reached; none: report only"),
    "better": Parameter("text", "higher or lower; from the metric's unit where not given"),
}

_COLUMNS = ("bench", "variant", "threads", "placement", "job")


@dataclass(frozen=True)
class Pair:
    """A cell and the cell of the base that differs from it in the axis only. ``ratio`` is of medians,
    arm over base; None where either was not measured."""

    arm: Series
    base: Series | None
    value: str
    ratio: Interval | None


def pairs(
    tables: Tables,
    plan: Plan,
    job: str,
    metric: str,
    axis: str,
    base: str,
    hosts: Collection[str] | None = None,
) -> list[Pair]:
    """Every cell that is not of the base, in the order of the plan. For axis `job`, ``base`` is another job.
    ``hosts`` None: of all hosts."""
    jobs = {job, base} if axis == "job" else {job}
    found = [s for s in series(tables, plan, jobs, metric) if hosts is None or s.step.host in hosts]
    bases = {_rest(s.step, axis): s for s in found if _at(s.step, axis) == base}
    made = []
    for one in found:
        if _at(one.step, axis) in (base, None):
            continue
        other = bases.get(_rest(one.step, axis))
        quotient = None
        if other is not None and one.values and other.values:
            quotient = ratio(one.values, other.values, plan.seed, metric, one.step.id, other.step.id)
        made.append(Pair(one, other, str(_at(one.step, axis)), quotient))
    return made


def _at(step: StepPlan, axis: str) -> str | None:
    value: Any = step.cell.get(axis, getattr(step, axis, None) if axis in _COLUMNS else None)
    return None if value is None else str(value)


def _rest(step: StepPlan, axis: str) -> tuple[str, ...]:
    """What must be the same in both cells."""
    cell = {k: v for k, v in step.cell.items() if k != axis}
    # two jobs that are compared usually differ in their bench: that is what they are for
    dropped = {"job", "bench"} if axis == "job" else {axis}
    return (step.host, dumps(cell), *(str(getattr(step, c)) for c in _COLUMNS if c not in dropped))


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    asked = read(SHAPE, parameters)
    if asked["better"] not in (None, "higher", "lower"):
        raise ParametersError(f"better: expected higher or lower, got {asked['better']!r}")
    marks = marked_hosts(tables)
    findings = []
    for one in jobs_of(plan, job):
        found = pairs(tables, plan, one.name, asked["metric"], asked["axis"], asked["base"])
        if not found:
            text = f"no cell of {one.name} to compare with {asked['axis']} {asked['base']}"
            findings.append(Finding("compare", one.name, Verdict.UNKNOWN, text))
        empty = [s for p in found for s in (p.arm, p.base) if s is not None and not s.values]
        missing = {s.step.id: s.step for s in empty}
        findings += [
            _finding(p, asked, marks) for p in found if p.base is None or (p.arm.values and p.base.values)
        ]
        findings += unmeasured("compare", one.name, asked["metric"], list(missing.values()))
    return findings


def _subject(pair: Pair, asked: dict[str, Any]) -> str:
    step = pair.arm.step
    rest = " ".join(f"{k}={v}" for k, v in sorted(step.cell.items()) if k != asked["axis"])
    return f"{step.job} {step.host} {pair.value} against {asked['base']} {rest}".rstrip()


def _finding(pair: Pair, asked: dict[str, Any], marks: frozenset[str]) -> Finding:
    step, subject = pair.arm.step, _subject(pair, asked)
    here = [Evidence(host=step.host, job=step.job, step=step.id)]
    if pair.base is None:
        text = f"there is no cell of {asked['axis']} {asked['base']} to compare with"
        return Finding("compare", subject, Verdict.UNKNOWN, text, evidence=here)
    here.append(Evidence(host=pair.base.step.host, job=pair.base.step.job, step=pair.base.step.id))
    if pair.ratio is None:
        text = f"{asked['metric']} of the base is 0: there is no ratio"
        return Finding("compare", subject, Verdict.UNKNOWN, text, evidence=here)
    verdict, told = _told(pair.ratio, asked, _higher_is_better(asked["better"], pair.arm.unit))
    return Finding(
        analysis="compare",
        subject=subject,
        verdict=verdict,
        summary=marked(f"{asked['metric']}: {told}", step.host, marks),
        value=pair.ratio.middle,
        bound=asked["min_ratio"],
        unit="",
        low=pair.ratio.low,
        high=pair.ratio.high,
        evidence=here,
    )


def _told(found: Interval, asked: dict[str, Any], higher: bool) -> tuple[Verdict, str]:
    if found.low is None or found.high is None:
        few = f"no interval from {found.launches} launch(es), {MIN_LAUNCHES} are needed"
        return Verdict.UNKNOWN, f"ratio {found.middle:.3g}, {few}"
    spread = f"ratio {found.middle:.3g} ({found.low:.3g} to {found.high:.3g}{found.caution})"
    least: float | None = asked["min_ratio"]
    verdict = Verdict.HOLDS
    if least is not None and found.low < least:
        verdict = Verdict.VIOLATED if found.high < least else Verdict.UNKNOWN
    effect: float = asked["min_effect"]
    if found.low > 1 + effect:
        return verdict, f"{'better' if higher else 'worse'}, {spread}"
    if found.high < 1 - effect:
        return verdict, f"{'worse' if higher else 'better'}, {spread}"
    shown = max(effect, found.high - found.middle, found.middle - found.low)
    return verdict, f"no difference shown, {spread}; one of {shown:.1%} could have been"


def _higher_is_better(asked: str | None, unit: str) -> bool:
    if asked is not None:
        return asked == "higher"
    return unit not in ("ns", "us", "ms", "s", "B")
