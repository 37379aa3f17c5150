"""Did a contract break? One finding per job and contract; where none broke, what that is worth."""

from __future__ import annotations

from typing import Any

import pandas as pd

from orchestrator.analysis.exposure import observed, worth
from orchestrator.analysis.parameters import Parameters, Shape
from orchestrator.analysis.tables import Tables, data_of, evidence, jobs_of
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan
from orchestrator.model.race import WORKLOAD

SHAPE: Shape = {}

_CONFIDENCE = 0.99
_UNDESCRIBED = "not named"


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, _: Parameters) -> list[Finding]:
    findings = []
    for one in jobs_of(plan, job):
        if one.workload == WORKLOAD:
            continue  # `race` judges it: there a detector may be void
        findings += _of_job(tables, plan, one)
    return findings


def _of_job(tables: Tables, plan: Plan, job: JobPlan) -> list[Finding]:
    events = tables["events"]
    events = events[events["job"] == job.name]
    described = events[(events["kind"] == "violation") & (events["source"] == "agent")].copy()
    described["contract"] = [str(data_of(d).get("contract") or _UNDESCRIBED) for d in described["data"]]
    findings = [
        _violated(job, str(contract), rows, _counted(events, described, rows))
        for contract, rows in described.groupby("contract", sort=True)
    ]
    launches = events[(events["kind"] == "launch_violated") & (events["source"] == "fold")]
    keys = set(zip(described["step"], described["launch"], strict=True))
    mute = launches[[k not in keys for k in zip(launches["step"], launches["launch"], strict=True)]]
    if len(mute):
        findings.append(_violated(job, _UNDESCRIBED, mute, _counted(events, described, mute)))
    if findings:
        return findings
    steps = [s for s in plan.steps if s.job == job.name and not s.skip]
    seen = observed(tables, job, checked=True)
    if seen.launches:
        text = f"{', '.join(seen.contracts)} held in {seen.told}: {worth(seen, _CONFIDENCE)}"
        return [Finding("contracts", job.name, Verdict.HOLDS, text)]
    if job.workload == "command" or not steps or observed(tables, job).launches:
        return []  # it measured, and checked nothing: nothing is claimed
    return [Finding("contracts", job.name, Verdict.UNKNOWN, "no launch gave a result: nothing was checked")]


def _violated(job: JobPlan, contract: str, rows: pd.DataFrame, counted: int) -> Finding:
    hosts = sorted(set(rows["host"]))
    first = rows.iloc[0]
    where = ", ".join(hosts[:4]) + (f" and {len(hosts) - 4} more" if len(hosts) > 4 else "")
    name = contract if contract != _UNDESCRIBED else "a contract that the program did not name"
    return Finding(
        analysis="contracts",
        subject=f"{job.name} {contract}",
        verdict=Verdict.VIOLATED,
        summary=f"{name} broken on {where}, first seen in {first.step} launch {first.launch}: {_evidence(first)}",
        value=float(max(counted, len(rows))),
        bound=0.0,
        unit="violations",
        evidence=evidence(rows),
    )


def _evidence(row: Any) -> str:
    """Of a described violation its evidence, without the contract before it; else what the fold says."""
    return str(data_of(row["data"]).get("evidence") or row["text"])


def _counted(events: pd.DataFrame, described: pd.DataFrame, rows: pd.DataFrame) -> int:
    """Violations that the launches of these rows counted; they describe the first few only. A count of a
    launch that broke several contracts covers them all and cannot be split."""
    contracts = described.groupby(["step", "launch"])["contract"].nunique()
    counts = events[(events["kind"] == "launch_violated") & (events["source"] == "fold")]
    asked = set(zip(rows["step"], rows["launch"], strict=True))
    return sum(
        int(data_of(data).get("violations") or 0)
        for step, launch, data in zip(counts["step"], counts["launch"], counts["data"], strict=True)
        if (step, launch) in asked and contracts.get((step, launch), 1) <= 1
    )
