"""Was the memory where it was asked for? One finding per cell whose memory was to be on a node, or local to its pinned threads,
by what the kernel said of a sample of its pages.

It is the least share of any launch that counts. Where it is below the bound the cell is `unknown`: what was measured is not what was asked.
"""

from __future__ import annotations

from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.tables import Tables, jobs_of, series
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan

METRIC = "memory_placed"

SHAPE: Shape = {
    "least": Parameter("fraction", "share of the memory that must be there", default=0.9),
}


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    least = float(read(SHAPE, parameters)["least"])
    findings = []
    for found in series(tables, plan, [one.name for one in jobs_of(plan, job)], METRIC):
        step = found.step
        if not step.cpus or step.mem == "interleave":
            continue
        where = step.mem if step.mem != "local" else "local to its threads"
        here = [Evidence(host=step.host, job=step.job, step=step.id)]
        if not found.values:
            text = f"memory {where}: not told, as on a host of one node, or for less than a MiB"
            findings.append(Finding("placed", step.id, Verdict.UNKNOWN, text, bound=least, evidence=here))
            continue
        share = min(found.values) / 100
        text = f"memory {where}: {share:.0%} of it was there, in the worst of {len(found.values)} launch(es)"
        verdict = Verdict.HOLDS if share >= least else Verdict.UNKNOWN
        findings.append(Finding("placed", step.id, verdict, text, share, least, evidence=here))
    return findings
