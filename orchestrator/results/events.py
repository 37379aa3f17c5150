"""The rows of the `events` table: what happened, in one line each, and how bad launches ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agents.wire import Entry, dumps
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.results.fold import Folded
from orchestrator.results.journals import Journals
from orchestrator.results.launch import Ending, Launch
from orchestrator.results.ledger import StepLog

Row = tuple[Any, ...]

#: Numbers by the thousand, which have tables of their own.
_ELSEWHERE = frozenset({"interval", "histogram", "history", "evidence"})


def event_rows(run: str, plan: Plan, journals: Journals, folded: Folded) -> Iterator[Row]:
    """``source`` "fold" marks what was concluded: kind `launch_ENDING` for a launch that is not ok, `warning`
    for an odd one, `fault` for a journal that is damaged."""
    for text in journals.controller_faults:
        yield (run, None, None, None, None, None, None, "fold", "fault", f"controller journal: {text}", "{}")
    for entry in journals.controller:
        if entry.kind in _ELSEWHERE:
            continue
        about = [_text(entry.data.get(k)) for k in ("host", "job", "step")]
        launch = entry.data.get("launch")
        number = launch if isinstance(launch, int) else None
        told = _describe(entry.kind, entry.data)
        yield (run, *about, number, entry.seq, entry.t, "controller", entry.kind, told, dumps(entry.data))
    for step in plan.steps:
        yield from _of_step(run, step, journals.steps.get(step.id, StepLog()), folded.launches[step.id])


def _of_step(run: str, step: StepPlan, log: StepLog, launches: list[Launch]) -> Iterator[Row]:
    head = (run, step.host, step.job, step.id)
    for fault in log.faults:
        yield (*head, fault.launch, None, None, "fold", "fault", fault.what, "{}")
    if log.repeated:
        text = f"{log.repeated} entries were there more than once and were taken once"
        yield (*head, None, None, None, "fold", "repeated", text, "{}")
    invalid = {n.number for n in launches if n.ending is Ending.INVALID}
    for number, entries in log.launches.items():
        for entry in entries:
            kind = _kind(entry)
            if kind == "violation" and number in invalid:
                kind = "violation_invalid"  # seen on a host that was broken: it accuses nobody
            if kind is not None:
                told = _describe(kind, entry.data)
                yield (*head, number, entry.seq, entry.t, "agent", kind, told, dumps(entry.data))
    for n in launches:
        for text in n.warnings:
            yield (*head, n.number, None, n.ended, "fold", "warning", text, "{}")
        if n.ending is not Ending.OK:
            data = dumps({"exit": n.exit, "signal": n.signal, "violations": n.violations, "seed": n.seed})
            yield (*head, n.number, n.seq, n.ended, "fold", f"launch_{n.ending}", n.reason, data)


def _kind(entry: Entry) -> str | None:
    if entry.kind == "vital":
        return None
    if entry.kind != "record":
        return None if entry.kind in _ELSEWHERE else entry.kind
    kind = str(entry.data.get("type", "record"))
    return None if kind in _ELSEWHERE else kind


def _describe(kind: str, data: dict[str, Any]) -> str:
    """One line; the whole is in ``data``."""
    if kind.startswith("violation"):
        return f"{data.get('contract', '?')}: {data.get('evidence', '')}"
    if kind == "counter":
        return f"{data.get('name', '?')} = {data.get('value')} {data.get('unit', '')}".rstrip()
    if kind == "ended":
        how = f"exit {data.get('exit')}" if data.get("signal") is None else f"signal {data.get('signal')}"
        return f"{data.get('reason', '?')}, {how}"
    for key in ("reason", "text", "status", "message"):
        if data.get(key):
            return str(data[key]).splitlines()[0] if str(data[key]).strip() else ""
    return ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
