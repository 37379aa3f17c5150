"""Did every step become as stable as was asked before it ran out of launches?"""

from __future__ import annotations

from orchestrator.analysis.bootstrap import CONFIDENCE, MIN_LAUNCHES, median
from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.tables import Series, Tables, jobs_of, series, unmeasured
from orchestrator.model.finding import Evidence, Finding, Verdict
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
            findings += [_finding(s, metric, wanted[s.step.id] or 0.0, plan.seed) for s in found if s.values]
            findings += unmeasured("stability", one.name, metric, [s.step for s in found if not s.values])
    return findings


def _finding(found: Series, metric: str, ci: float, seed: int) -> Finding:
    step = found.step
    here = [Evidence(host=step.host, job=step.job, step=step.id)]
    if len(found.values) < MIN_LAUNCHES:
        text = f"{len(found.values)} launch(es) gave {metric}; {MIN_LAUNCHES} are needed for an interval"
        return Finding("stability", step.id, Verdict.UNKNOWN, text, bound=ci, evidence=here)
    interval = median(found.values, seed, metric, step.id)
    width = interval.half_width
    if width is None:
        return Finding(
            "stability", step.id, Verdict.UNKNOWN, f"{metric} is 0 throughout", bound=ci, evidence=here
        )
    spread = (
        f"{metric} is known to ±{width:.2%} after {interval.launches} launches ({CONFIDENCE:.0%} interval)"
    )
    if width <= ci:
        text, verdict = f"{spread}, asked ±{ci:.2%}", Verdict.HOLDS
    else:
        most = step.launches.max is not None and interval.launches >= step.launches.max
        why = "the most that it was given" if most else "where it ended"
        text, verdict = f"{spread}, {why}, and not to the asked ±{ci:.2%}", Verdict.UNKNOWN
    return Finding("stability", step.id, verdict, text, width, ci, "", evidence=here)
