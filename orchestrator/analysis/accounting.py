"""Is every planned cell accounted for? What was lost is unknown, what failed is a violation."""

from __future__ import annotations

from orchestrator.analysis.parameters import Parameters, Shape
from orchestrator.analysis.tables import EVIDENCE_ROWS, Tables
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.outcome import Status
from orchestrator.model.plan import JobPlan, Plan

SHAPE: Shape = {}


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, _: Parameters) -> list[Finding]:
    steps = tables["steps"]
    planned = [s for s in plan.steps if job is None or s.job == job.name]
    status = dict(zip(steps["step"], steps["status"], strict=True))
    reason = dict(zip(steps["step"], steps["reason"], strict=True))
    launches = dict(zip(steps["step"], steps["launches"], strict=True))
    by_status = {x: [s for s in planned if status.get(s.id) == x] for x in Status}
    missing = [s for s in planned if s.id not in status]
    # what failed or was stopped before its first launch did not run
    begun = [*by_status[Status.PASSED], *by_status[Status.FAILED], *by_status[Status.STOPPED]]
    ran = sum(bool(launches[s.id]) for s in begun)

    parts = [f"{ran} of {len(planned)} planned cells ran"]
    parts += [f"{len(by_status[x])} {x}" for x in Status if x is not Status.PASSED and by_status[x]]
    parts += [f"{len(missing)} missing from the tables"] if missing else []
    verdict = Verdict.HOLDS
    # a stop condition was asked for; an interrupt leaves open what the rest would have shown
    cut = [s for s in by_status[Status.STOPPED] if str(reason.get(s.id, "")).startswith("interrupted")]
    if by_status[Status.LOST] or by_status[Status.INVALID] or cut or missing or not ran:
        verdict = Verdict.UNKNOWN
    if by_status[Status.FAILED]:
        verdict = Verdict.VIOLATED
    shown = [*by_status[Status.FAILED], *by_status[Status.LOST], *by_status[Status.INVALID], *missing][
        :EVIDENCE_ROWS
    ]
    return [
        Finding(
            analysis="accounting",
            subject=job.name if job else "run",
            verdict=verdict,
            summary=", ".join(parts),
            value=float(ran),
            bound=float(len(planned)),
            unit="cells",
            evidence=[
                Evidence(host=s.host, job=s.job, step=s.id, text=str(reason.get(s.id, "missing")))
                for s in shown
            ],
        )
    ]
