"""Did every step become as stable as was asked before it ran out of launches? Judged by the same interval
that the launch policy goes by while the run is going on."""

from __future__ import annotations

from orchestrator.analysis.bootstrap import until_width
from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.tables import Series, Tables, jobs_of, series, unmeasured
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.interval import CONFIDENCE
from orchestrator.model.plan import JobPlan, Plan

SHAPE: Shape = {
    "metric": Parameter("text", "metric to look at; the job's own `until` where not given"),
    "ci": Parameter(
        "fraction", "half-width of the interval, relative; the job's own `until` where not given"
    ),
}


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    asked = read(SHAPE, parameters)
    findings = []
    for one in jobs_of(plan, job):
        steps = [s for s in plan.steps if s.job == one.name and not s.skip]
        wanted = {s.id: asked["ci"] or s.launches.ci for s in steps}
        metrics = {s.id: asked["metric"] or s.launches.metric or "ops_per_second" for s in steps}
        if not any(wanted.values()):
            text = "no stability was asked for: neither `ci` here nor `until` under launches"
            findings.append(Finding("stability", one.name, Verdict.UNKNOWN, text))
            continue
        for metric in sorted(set(metrics.values())):
            found = [
                s
                for s in series(tables, plan, [one.name], metric)
                if metrics[s.step.id] == metric and wanted[s.step.id]
            ]
            findings += [_finding(s, metric, wanted[s.step.id] or 0.0) for s in found if s.values]
            findings += unmeasured("stability", one.name, metric, [s.step for s in found if not s.values])
    return findings


def _finding(found: Series, metric: str, ci: float) -> Finding:
    step, made = found.step, len(found.values)
    here = [Evidence(host=step.host, job=step.job, step=step.id)]
    width = until_width(found.values, step.seed)
    if width is None:
        text = f"{made} launch(es) gave {metric}: no interval"
        return Finding("stability", step.id, Verdict.UNKNOWN, text, bound=ci, evidence=here)
    spread = f"{metric} is known to ±{width:.2%} after {made} launches ({CONFIDENCE:.0%} interval)"
    at_max = step.launches.max is not None and made >= step.launches.max
    if width <= ci:
        return Finding(
            "stability", step.id, Verdict.HOLDS, f"{spread}, asked ±{ci:.2%}", width, ci, evidence=here
        )
    why = "the most that it was given" if at_max else "where it ended"
    text = f"{spread}, {why}, and not to the asked ±{ci:.2%}"
    return Finding("stability", step.id, Verdict.UNKNOWN, text, width, ci, evidence=here)
