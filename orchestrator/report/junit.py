"""JUnit XML: one test case per planned step, one suite per host, for whatever collects test results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pandas as pd

from agents.wire import dumps
from orchestrator.model.outcome import Outcome, Status
from orchestrator.model.plan import StepPlan
from orchestrator.results.rebuild import Rebuilt


def junit_xml(rebuilt: Rebuilt) -> str:
    """failed → failure · lost → error · skipped and stopped → skipped, each with its reason."""
    root = ET.Element("testsuites", {"name": _text(rebuilt.plan.name), **_counts(rebuilt.outcomes)})
    builds = dict(zip(rebuilt.tables["steps"]["step"], rebuilt.tables["steps"]["build"], strict=True))
    by_step = {o.step: o for o in rebuilt.outcomes}
    for host in rebuilt.plan.hosts:
        steps = [s for s in rebuilt.plan.steps if s.host == host]
        outcomes = [by_step[s.id] for s in steps]
        attributes = {"name": _text(f"{rebuilt.plan.name} on {host}"), "hostname": _text(host)}
        started = [o.started for o in outcomes if o.started is not None]
        if started:
            attributes["timestamp"] = pd.Timestamp(min(started), unit="s").strftime("%Y-%m-%dT%H:%M:%S")
        suite = ET.SubElement(root, "testsuite", {**attributes, **_counts(outcomes)})
        _properties(
            suite,
            run=rebuilt.run,
            seed=rebuilt.plan.seed,
            verdict=rebuilt.verdict,
            exit_code=rebuilt.exit_code,
        )
        for step, outcome in zip(steps, outcomes, strict=True):
            _case(suite, step, outcome, builds.get(step.id))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _counts(outcomes: Sequence[Outcome]) -> dict[str, str]:
    statuses = [o.status for o in outcomes]
    return {
        "tests": str(len(statuses)),
        "failures": str(statuses.count(Status.FAILED)),
        "errors": str(statuses.count(Status.LOST) + statuses.count(Status.INVALID)),
        "skipped": str(statuses.count(Status.SKIPPED) + statuses.count(Status.STOPPED)),
        "time": f"{math.fsum(_seconds(o) for o in outcomes):.3f}",
    }


def _seconds(outcome: Outcome) -> float:
    if outcome.started is None or outcome.ended is None:
        return 0.0
    return max(0.0, outcome.ended - outcome.started)


def _case(suite: ET.Element, step: StepPlan, outcome: Outcome, build: object) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {"classname": _text(step.job), "name": _text(step.id), "time": f"{_seconds(outcome):.3f}"},
    )
    _properties(
        case,
        seed=step.seed,
        build=build if isinstance(build, str) else "",
        host=step.host,
        bench=step.bench,
        variant=step.variant,
        threads=step.threads,
        placement=step.placement,
        cell=dumps(step.cell),
        launches=f"{outcome.launches_ok} of {outcome.launches} ok",
    )
    reason = _text(outcome.reason)
    if outcome.status is Status.FAILED:
        ET.SubElement(case, "failure", {"message": reason, "type": "failed"}).text = reason
    elif outcome.status in (Status.LOST, Status.INVALID):
        ET.SubElement(case, "error", {"message": reason, "type": str(outcome.status)}).text = reason
    elif outcome.status is not Status.PASSED:
        ET.SubElement(case, "skipped", {"message": f"{outcome.status}: {reason}"})


def _properties(parent: ET.Element, **values: object) -> None:
    holder = ET.SubElement(parent, "properties")
    for name, value in values.items():
        ET.SubElement(holder, "property", {"name": name, "value": _text(str(value))})


def _text(text: str) -> str:
    """Without what XML 1.0 cannot hold, not even escaped."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
        for c in text
    )
