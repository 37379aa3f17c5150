"""What is a clean result worth? Operations and host-hours without a failure, and the rate that they exclude.

With n trials and no failure, a failure rate above -ln(1-c)/n is excluded at confidence c. "None found" is
never said without that bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.tables import Tables, data_of
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan

SHAPE: Shape = {
    "confidence": Parameter("fraction", "confidence of the bound", default=0.99),
    "per_hour": Parameter("number", "failures per host-hour that must be excluded; none: report only"),
}

#: A launch that ended so says nothing against the program.
_NEUTRAL = ("launch_lost", "launch_stopped", "launch_invalid")


@dataclass(frozen=True)
class Observed:
    """What the launches of a job went through, warm-up not counted. ``trial`` is what ``trials`` counts:
    operations, or the launches themselves of a program that does not count its operations."""

    launches: int
    trials: float
    trial: str
    host_hours: float
    #: the contracts that the program said it checks; without any, a clean launch is one that did not crash
    contracts: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        counted = f", {self.trials:.3g} operations" if self.trial == "operation" else ""
        return f"{self.launches} launches{counted}, {self.host_hours:.3g} host-hours"


def observed(tables: Tables, job: JobPlan, *, checked: bool = False) -> Observed:
    """Launches that gave a result, those that were stopped among them; of a `command` those that ended.
    ``checked``: only launches of a program that said which contracts it checks."""
    events = tables["events"]
    rows = events[(events["job"] == job.name) & (events["source"] == "agent")]
    results = rows[rows["kind"] == "result"].drop_duplicates(["step", "launch"], keep="last")
    claims = _claims(rows)
    named = sorted({c for claimed in claims.values() for c in claimed})
    launches, operations, seconds = 0, 0.0, 0.0
    for step, launch, text in zip(results["step"], results["launch"], results["data"], strict=True):
        if checked and not claims.get((step, launch)):
            continue
        data = data_of(text)
        ops, length = data.get("ops"), data.get("seconds")
        if data.get("status") in ("ok", "stopped", "violated") and isinstance(ops, int | float):
            launches += 1
            operations += ops
            seconds += length if isinstance(length, int | float) else 0.0
    if launches or job.workload != "command":
        return Observed(launches, operations, "operation", seconds / 3600, tuple(named))
    if checked:
        return Observed(0, 0.0, "operation", 0.0)
    ends = [data_of(text) for text in rows[rows["kind"] == "ended"]["data"]]
    lengths = [e["seconds"] for e in ends if isinstance(e.get("seconds"), int | float)]
    return Observed(len(lengths), float(len(lengths)), "launch", sum(lengths) / 3600)


def _claims(rows: pd.DataFrame) -> dict[tuple[str, int], list[str]]:
    """(step, launch) → the contracts that its hello names."""
    hellos = rows[rows["kind"] == "hello"]
    found = {}
    for step, launch, text in zip(hellos["step"], hellos["launch"], hellos["data"], strict=True):
        named = data_of(text).get("contracts")
        found[str(step), int(launch)] = [str(c) for c in named] if isinstance(named, list) else []
    return found


def upper_bound(trials: float, confidence: float) -> float:
    """Of the failures per trial, after ``trials`` of them without one. inf where there were none."""
    return -math.log(1 - confidence) / trials if trials > 0 else math.inf


def worth(seen: Observed, confidence: float) -> str:
    return (
        f"at {confidence * 100:.4g}% confidence fewer than {upper_bound(seen.trials, confidence):.3g} per {seen.trial} "
        f"and {upper_bound(seen.host_hours, confidence):.3g} per host-hour"
    )


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    asked = read(SHAPE, parameters)
    jobs = [j for j in plan.jobs if job is None or j.name == job.name]
    return [_of_job(tables, j, asked["confidence"], asked["per_hour"]) for j in jobs]


def _of_job(tables: Tables, plan_: JobPlan, confidence: float, limit: float | None) -> Finding:
    seen, job = observed(tables, plan_), plan_.name
    if not seen.launches or not seen.trials or not seen.host_hours:
        return Finding(
            "exposure", job, Verdict.UNKNOWN, "no launch gave a result: nothing was exposed to anything"
        )
    events = tables["events"]
    bad = events[(events["job"] == job) & (events["source"] == "fold") & ~events["kind"].isin(_NEUTRAL)]
    bad = bad[bad["kind"].str.startswith("launch_")]
    if len(bad):
        rate = len(bad) / seen.host_hours
        text = f"not clean: {len(bad)} launches failed in {seen.told}: {rate:.3g} per host-hour"
        return Finding("exposure", job, Verdict.VIOLATED, text, rate, limit, "1/h")
    bound = upper_bound(seen.host_hours, confidence)
    sought = f"no violation of {', '.join(seen.contracts)} and no crash" if seen.contracts else "no crash"
    text = f"{sought} in {seen.told}: {worth(seen, confidence)}"
    if not seen.contracts:
        text += "; the program named no contract that it checks"
    verdict = Verdict.HOLDS
    if limit is not None and bound > limit:
        verdict = Verdict.UNKNOWN
        needed = -math.log(1 - confidence) / limit - seen.host_hours if limit > 0 else math.inf
        text += f"; {needed:.3g} more host-hours are needed to exclude {limit:.3g} per host-hour"
    return Finding("exposure", job, verdict, text, bound, limit, "1/h", low=0.0, high=bound)
