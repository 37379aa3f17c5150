"""How does one arm stand to another that took turns with it in the same process? Ratio of the two in each
launch, its median over the launches of each cell, with an interval.

What slows the machine while a launch runs slows both arms, and drops out of their ratio. A core's other thread does not: it slows
what counts instructions, and not what waits. So of one thread's launches those with a core of their own are judged alone where there are at least
three; else those without, and that is said. What two threads do to each other depends on whether they share a core: `beside` holds the ratio
against what the same launch shows of the machine, and the plain ratio is told besides.

With a bound the target is met where the whole interval is on its side, missed where none of it is, and undecided otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from orchestrator.analysis import bootstrap, own_core
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
    "beside": Parameter(
        "text", "two metrics, such as floor_ns/floor_1t_ns: the ratio is divided by theirs in the same launch"
    ),
    "target": Parameter("text", "what to call it; else metric and base"),
}

WORDS = {Verdict.HOLDS: "met", Verdict.VIOLATED: "missed", Verdict.UNKNOWN: "undecided"}


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    asked = read(SHAPE, parameters)
    if asked["max_ratio"] is not None and asked["min_ratio"] is not None:
        raise ParametersError("max_ratio and min_ratio: one of them")
    if asked["beside"] is not None and asked["beside"].count("/") != 1:
        raise ParametersError("beside: two metrics with a slash between them, such as floor_ns/floor_1t_ns")
    marks = marked_hosts(tables)
    findings = []
    for one in jobs_of(plan, job):
        steps = [s for s in plan.steps if s.job == one.name and not s.skip]
        rows = measured(tables, one.name)
        kept = own_core.comparable(rows)
        found = ratios(kept, asked["metric"], asked["base"].split(","), asked["beside"] or "")
        plain = ratios(kept, asked["metric"], asked["base"].split(",")) if asked["beside"] else {}
        cores = own_core.told(rows)
        missing = [s for s in steps if not found.get(s.id)]
        both = f"{asked['metric']} over {asked['base']}"
        findings += [
            _finding(s, found[s.id], asked, plan.seed, _besides(plain.get(s.id), cores.get(s.id, "")), marks)
            for s in steps
            if found.get(s.id)
        ]
        findings += unmeasured("paired", one.name, both, missing)
        if not steps:
            findings.append(Finding("paired", one.name, Verdict.UNKNOWN, f"no cell of {one.name} has {both}"))
    return findings


def measured(tables: Tables, job: str) -> pd.DataFrame:
    """What the good launches of a job measured: rows of `samples`."""
    rows = tables["samples"]
    return rows[(rows["phase"] == "measure") & (rows["job"] == job) & rows["ok"].fillna(False)]


def ratios(rows: pd.DataFrame, metric: str, bases: Sequence[str], beside: str = "") -> dict[str, list[float]]:
    """Step → one ratio per launch that has the metric, a base that is not 0, and both sides of `beside` where that is given."""
    top, _, bottom = beside.partition("/")
    rows = rows[rows["metric"].isin([metric, *bases, top, bottom])].sort_values(["step", "launch"])
    found: dict[tuple[str, int], dict[str, float]] = {}
    for step, launch, name, value in zip(
        rows["step"], rows["launch"], rows["metric"], rows["value"], strict=True
    ):
        found.setdefault((step, launch), {})[name] = value
    made: dict[str, list[float]] = {}
    for (step, _), values in found.items():
        below = [values[b] for b in bases if values.get(b, 0) > 0]
        machine = _machine(values, top, bottom)
        if metric in values and below and machine:
            made.setdefault(step, []).append(values[metric] / min(below) / machine)
    return made


def _machine(values: Mapping[str, float], top: str, bottom: str) -> float | None:
    if not top:
        return 1.0
    return values[top] / values[bottom] if values.get(top, 0) > 0 and values.get(bottom, 0) > 0 else None


def _besides(plain: Sequence[float] | None, cores: str) -> str:
    spread = f"the plain ratio is {min(plain):.3g} to {max(plain):.3g}" if plain else ""
    return "".join(f"; {words}" for words in (spread, cores) if words)


def _finding(
    step: StepPlan, of: list[float], asked: dict[str, Any], seed: int, besides: str, marks: frozenset[str]
) -> Finding:
    found = bootstrap.median(of, seed, step.id, asked["metric"], asked["base"])
    verdict, told = _told(found, asked, besides)
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


def _told(found: Interval, asked: dict[str, Any], besides: str) -> tuple[Verdict, str]:
    most, least = asked["max_ratio"], asked["min_ratio"]
    what = f"{asked['metric']} is {found.middle:.3g} times {asked['base'].replace(',', ' or ')}"
    what += f" as of {asked['beside']}" if asked["beside"] else ""
    aim = f"; at most {most:g}" if most is not None else f"; at least {least:g}" if least is not None else ""
    if found.low is None or found.high is None:
        few = f"no interval from {found.launches} launch(es), {MIN_LAUNCHES} are needed"
        return Verdict.UNKNOWN, f"{what}, {few}{besides}{aim}" + (": undecided" if aim else "")
    spread = f"{what} ({found.low:.3g} to {found.high:.3g}{found.caution}){besides}"
    if not aim:
        return Verdict.HOLDS, spread
    if most is not None:
        sure, never = found.high <= most, found.low > most
    else:
        sure, never = found.low >= least, found.high < least
    verdict = Verdict.HOLDS if sure else Verdict.VIOLATED if never else Verdict.UNKNOWN
    return verdict, f"{spread}{aim}: {WORDS[verdict]}"
