"""What a search for races has found, as a playbook that runs it again on another host, and what came of that.

An exploration is repeated from its token: one execution, that must fail again. A failure on real cores is repeated
with its seed and settings a few times, for its rate; it may well be rare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import StepPlan
from orchestrator.model.race import WORKLOAD
from orchestrator.results.launch import FAILURES, Launch
from orchestrator.results.rebuild import Rebuilt

_TOKEN = re.compile(r"orch replay ([0-9a-f]{16}(?::[^:\s]*){6,})")
#: Of what was found on real cores.
LAUNCHES = 5
#: More signatures than these are left to whoever reads the report.
MOST = 20


def confirmation(found: Rebuilt) -> dict[str, Any] | None:
    """None where there is nothing to run again."""
    jobs = []
    for number, finding in enumerate(_raced(found)):
        step, launch = _first(found, finding)
        if step is not None:
            token = next((t[1] for row in finding.evidence if (t := _TOKEN.search(row.text))), "")
            host = _elsewhere(found, step.host)
            jobs.append(_explored(number, token, host) if token else _stressed(number, step, launch, host))
    return {"orch": 1, "name": "again", "jobs": jobs} if jobs else None


def confirmed(found: Rebuilt, again: Rebuilt) -> list[dict[str, Any]]:
    """One for each signature that was run again: subject, host, whether that is another host, launches, failed."""
    made = []
    for number, finding in enumerate(_raced(found)):
        step, _ = _first(found, finding)
        for planned in again.plan.steps:
            if step is None or planned.job != _name(number):
                continue
            launches = again.launches[planned.id]
            made.append(
                {
                    "subject": finding.subject,
                    "host": planned.host,
                    "other": planned.host != step.host,
                    "launches": len(launches),
                    "failed": sum(n.ending in FAILURES for n in launches),
                }
            )
    return made


def _raced(found: Rebuilt) -> list[Finding]:
    return [f for f in found.findings if f.analysis == WORKLOAD and f.verdict is Verdict.VIOLATED][:MOST]


def _first(found: Rebuilt, finding: Finding) -> tuple[StepPlan | None, Launch | None]:
    for row in finding.evidence:
        step = next((s for s in found.plan.steps if s.id == row.step), None)
        launch = next((n for n in found.launches.get(row.step, []) if n.number == row.launch), None)
        if step is not None:
            return step, launch
    return None, None


def _elsewhere(found: Rebuilt, host: str) -> str:
    """Another host of the run that was not lost, else the same."""
    hosts = found.tables["hosts"]
    well = [
        h for h, status in zip(hosts["host"], hosts["status"], strict=True) if status == "ok" and h != host
    ]
    return str(well[0]) if well else host


def _name(number: int) -> str:
    return f"again-{number}"


def _explored(number: int, token: str, host: str) -> dict[str, Any]:
    """One execution: the one that the token is of."""
    scenario, strategy, model, seed = token.split(":")[2:6]
    settings = {"bench": scenario, "strategy": strategy, "model": model, "executions": 1}
    return {**_job(number, settings, host, int(seed)), "variant": "explore", "measure": {"seconds": "10s"}}


def _stressed(number: int, step: StepPlan, launch: Launch | None, host: str) -> dict[str, Any]:
    seed = step.seed if launch is None or launch.seed is None else launch.seed
    return {
        **_job(number, step.settings, host, seed),
        "variant": step.variant,
        "threads": step.threads,
        "placement": step.placement,
        "measure": {"seconds": f"{max(step.seconds, 1.0):g}s"},
        "launches": LAUNCHES,
    }


def _job(number: int, settings: Mapping[str, Any], host: str, seed: int) -> dict[str, Any]:
    return {"name": _name(number), "workload": "native", "with": dict(settings), "hosts": host, "seed": seed}
