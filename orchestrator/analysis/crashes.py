"""Did a program crash, hang, flood or print garbage? One finding per job and way of failing."""

from __future__ import annotations

from orchestrator.analysis.parameters import Parameters, Shape
from orchestrator.analysis.tables import Tables, evidence, jobs_of
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan
from orchestrator.model.race import WORKLOAD

SHAPE: Shape = {}

#: Kind of the event that the fold leaves → what it is called.
_KINDS = {
    "launch_crashed": "crashed",
    "launch_timeout": "hung",
    "launch_memory": "ran out of its memory limit",
    "launch_output": "flooded its output",
    "launch_garbage": "printed garbage",
    "launch_no_result": "ended without a result",
    "launch_not_started": "could not be started",
    "launch_error": "reported an error",
    "launch_exit": "ended with a bad exit status",
}


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, _: Parameters) -> list[Finding]:
    findings = []
    events = tables["events"]
    bad = events[(events["source"] == "fold") & events["kind"].isin(list(_KINDS))]
    steps = tables["steps"]
    for one in jobs_of(plan, job):
        if one.workload == WORKLOAD:
            continue  # `race` judges it: there a detector may be void
        total = int(steps["launches"][steps["job"] == one.name].sum())
        rows = bad[bad["job"] == one.name]
        for kind, of_kind in rows.groupby("kind", sort=True):
            first = of_kind.iloc[0]
            hosts = sorted(set(of_kind["host"]))
            text = (
                f"{len(of_kind)} of {total} launches {_KINDS[str(kind)]} on {', '.join(hosts[:4])}"
                f"{' and more' if len(hosts) > 4 else ''}; first {first.step} launch {first.launch}: {first.text}"
            )
            findings.append(
                Finding(
                    analysis="crashes",
                    subject=f"{one.name} {str(kind).removeprefix('launch_')}",
                    verdict=Verdict.VIOLATED,
                    summary=text,
                    value=float(len(of_kind)),
                    bound=0.0,
                    unit="launches",
                    evidence=evidence(of_kind),
                )
            )
        if not len(rows) and total:
            told = f"no crash, hang or garbage in {total} launches"
            findings.append(Finding("crashes", one.name, Verdict.HOLDS, told, 0.0, 0.0, "launches"))
    return findings
