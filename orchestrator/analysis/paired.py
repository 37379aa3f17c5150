"""How does one arm stand to another that took turns with it in the same process? Ratio of the two in each
launch, its median over the launches of each cell, with an interval.

What slows the machine while a launch runs slows both arms, and drops out of their ratio. With a bound the target
is met where the whole interval is on its side, missed where none of it is, and undecided otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.analysis import bootstrap
from orchestrator.analysis.bootstrap import MIN_LAUNCHES, Interval
from orchestrator.analysis.parameters import Parameter, Parameters, ParametersError, Shape, read
from orchestrator.analysis.tables import Tables, jobs_of, marked, marked_hosts, unmeasured
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan, StepPlan

SHAPE: Shape = {
    "metric": Parameter("text", "metric above the line, such as ours_ns", required=True),
    "base": Parameter(
        "text", "metric below the line; of several with commas the smallest of each launch", required=True
    ),
    "max_ratio": Parameter("number", "ratio that must not be exceeded"),
    "min_ratio": Parameter("number", "ratio that must be reached; neither: report only"),
    "target": Parameter("text", "what to call it; else metric and base"),
}

WORDS = {Verdict.HOLDS: "met", Verdict.VIOLATED: "missed", Verdict.UNKNOWN: "undecided"}


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    asked = read(SHAPE, parameters)
    if asked["max_ratio"] is not None and asked["min_ratio"] is not None:
        raise ParametersError("max_ratio and min_ratio: one of them")
    marks = marked_hosts(tables)
    findings = []
    for one in jobs_of(plan, job):
        steps = [s for s in plan.steps if s.job == one.name and not s.skip]
        found = ratios(tables, one.name, asked["metric"], asked["base"].split(","))
        missing = [s for s in steps if not found.get(s.id)]
        both = f"{asked['metric']} over {asked['base']}"
        findings += [_finding(s, found[s.id], asked, plan.seed, marks) for s in steps if found.get(s.id)]
        findings += unmeasured("paired", one.name, both, missing)
        if not steps:
            findings.append(Finding("paired", one.name, Verdict.UNKNOWN, f"no cell of {one.name} has {both}"))
    return findings


def ratios(tables: Tables, job: str, metric: str, bases: Sequence[str]) -> dict[str, list[float]]:
    """Step → one ratio per launch that has the metric and a base that is not 0."""
    rows = tables["samples"]
    rows = rows[(rows["phase"] == "measure") & (rows["job"] == job) & rows["ok"].fillna(False)]
    rows = rows[rows["metric"].isin([metric, *bases])].sort_values(["step", "launch"])
    found: dict[tuple[str, int], dict[str, float]] = {}
    for step, launch, name, value in zip(
        rows["step"], rows["launch"], rows["metric"], rows["value"], strict=True
    ):
        found.setdefault((step, launch), {})[name] = value
    made: dict[str, list[float]] = {}
    for (step, _), values in found.items():
        below = [values[b] for b in bases if values.get(b, 0) > 0]
        if metric in values and below:
            made.setdefault(step, []).append(values[metric] / min(below))
    return made


def _finding(
    step: StepPlan, of: list[float], asked: dict[str, Any], seed: int, marks: frozenset[str]
) -> Finding:
    found = bootstrap.median(of, seed, step.id, asked["metric"], asked["base"])
    verdict, told = _told(found, asked)
    name = asked["target"] or f"{asked['metric']} over {asked['base']}"
    cell = " ".join(f"{k}={v}" for k, v in sorted(step.cell.items()))
    return Finding(
        analysis="paired",
        subject=f"{step.job} {step.host} {name} {cell}".rstrip(),
        verdict=verdict,
        summary=marked(told, step.host, marks),
        value=found.middle,
        bound=asked["max_ratio"] if asked["max_ratio"] is not None else asked["min_ratio"],
        unit="",
        low=found.low,
        high=found.high,
        evidence=[Evidence(host=step.host, job=step.job, step=step.id)],
    )


def _told(found: Interval, asked: dict[str, Any]) -> tuple[Verdict, str]:
    most, least = asked["max_ratio"], asked["min_ratio"]
    what = f"{asked['metric']} is {found.middle:.3g} times {asked['base'].replace(',', ' or ')}"
    aim = f"; at most {most:g}" if most is not None else f"; at least {least:g}" if least is not None else ""
    if found.low is None or found.high is None:
        few = f"no interval from {found.launches} launch(es), {MIN_LAUNCHES} are needed"
        return Verdict.UNKNOWN, f"{what}, {few}{aim}" + (": undecided" if aim else "")
    spread = f"{what} ({found.low:.3g} to {found.high:.3g}{found.caution})"
    if not aim:
        return Verdict.HOLDS, spread
    if most is not None:
        sure, never = found.high <= most, found.low > most
    else:
        sure, never = found.low >= least, found.high < least
    verdict = Verdict.HOLDS if sure else Verdict.VIOLATED if never else Verdict.UNKNOWN
    return verdict, f"{spread}{aim}: {WORDS[verdict]}"
