"""What the tables say: one file per analysis, each a pure function of tables, plan, job and parameters.

An analysis never raises over what was measured: a missing measurement is a finding `unknown`, and so
is an analysis that breaks. Those of `ALWAYS` run always; the others where a job's `judge` names them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from orchestrator.analysis import (
    accounting,
    compare,
    contracts,
    crashes,
    drift,
    exposure,
    linearizability,
    paired,
    placed,
    race,
    restored,
    scaling,
    stability,
)
from orchestrator.analysis.parameters import Parameters, ParametersError, Shape, check
from orchestrator.analysis.spreading import Spread, here
from orchestrator.analysis.tables import Tables
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import JobPlan, JudgeSpec, Plan

Analysis = Callable[[Tables, Plan, JobPlan | None, Parameters], list[Finding]]
SpreadingAnalysis = Callable[[Tables, Plan, JobPlan | None, Parameters, Spread], list[Finding]]
Log = Callable[[str], None]

ANALYSES: dict[str, Analysis] = {
    "accounting": accounting.analyse,
    "contracts": contracts.analyse,
    "crashes": crashes.analyse,
    "scaling": scaling.analyse,
    "compare": compare.analyse,
    "paired": paired.analyse,
    "placed": placed.analyse,
    "drift": drift.analyse,
    "exposure": exposure.analyse,
    "linearizability": linearizability.analyse,
    "race": race.analyse,
    "restored": restored.analyse,
    "stability": stability.analyse,
}

#: Parameters of each analysis: name → what it takes.
SHAPES: dict[str, Shape] = {
    "accounting": accounting.SHAPE,
    "contracts": contracts.SHAPE,
    "crashes": crashes.SHAPE,
    "scaling": scaling.SHAPE,
    "compare": compare.SHAPE,
    "paired": paired.SHAPE,
    "placed": placed.SHAPE,
    "drift": drift.SHAPE,
    "exposure": exposure.SHAPE,
    "linearizability": linearizability.SHAPE,
    "race": race.SHAPE,
    "restored": restored.SHAPE,
    "stability": stability.SHAPE,
}

#: Those with enough to do to spread it.
SPREADING: dict[str, SpreadingAnalysis] = {
    "linearizability": linearizability.analyse,
    "race": race.analyse,
}

#: Made for the whole run, asked for or not.
ALWAYS = ("accounting", "contracts", "crashes", "restored")


def check_judge(spec: JudgeSpec) -> list[str]:
    """What is wrong with a job's `judge` entry, in words; empty where nothing is."""
    if spec.name not in ANALYSES:
        return [f"unknown analysis {spec.name!r}; there are {', '.join(sorted(ANALYSES))}"]
    return check(SHAPES[spec.name], spec.parameters)


def judge(tables: Tables, plan: Plan, log: Log, spread: Spread = here) -> list[Finding]:
    """Every finding of a run: the standing analyses over the whole, then what each job asked for.
    ``log`` takes the traceback of an analysis that breaks; ``spread`` does the work of the large ones."""
    findings = []
    for name in ALWAYS:
        findings += _run(tables, plan, None, JudgeSpec(name), log, spread)
    for job in plan.jobs:
        for spec in job.judges:
            findings += _run(tables, plan, job, spec, log, spread)
    return findings


def _run(
    tables: Tables, plan: Plan, job: JobPlan | None, spec: JudgeSpec, log: Log, spread: Spread
) -> list[Finding]:
    subject = job.name if job else "run"
    wrong = check_judge(spec)
    if wrong:
        return [Finding(spec.name, subject, Verdict.UNKNOWN, "; ".join(wrong))]
    try:
        if spec.name in SPREADING:
            return SPREADING[spec.name](tables, plan, job, spec.parameters, spread)
        return ANALYSES[spec.name](tables, plan, job, spec.parameters)
    except ParametersError as e:
        return [Finding(spec.name, subject, Verdict.UNKNOWN, str(e))]
    except Exception as e:  # noqa: BLE001 - a broken analysis is unknown, never a pass, and stops nothing
        log(f"analysis {spec.name} of {subject}:\n{traceback.format_exc()}")
        told = f"analysis crashed: {type(e).__name__}: {e}"
        return [Finding(spec.name, subject, Verdict.UNKNOWN, told)]
