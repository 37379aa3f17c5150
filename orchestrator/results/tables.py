"""Plan, facts and journals → the tables of `model.tables`, but for `intervals` and `vitals` (`long`)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from agents.wire import Entry, Facts, dumps
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.outcome import Outcome, Status
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.results.events import event_rows
from orchestrator.results.fold import Folded
from orchestrator.results.histogram import PERCENTILES, decode_histogram
from orchestrator.results.journals import Journals
from orchestrator.results.launch import Ending
from orchestrator.results.ledger import StepLog
from orchestrator.results.marks import marks
from orchestrator.results.schema import Row, frame

Tables = dict[str, pd.DataFrame]


def build_tables(
    run: str,
    plan: Plan,
    journals: Journals,
    folded: Folded,
    facts: Mapping[str, Facts],
    emulated: Collection[str] = (),
) -> Tables:
    """Every table but `findings` and those that are written while the journals are read; `runs` without verdict and exit code, which follow from the findings.
    ``emulated``: hosts that the inventory says are."""
    return {
        "runs": frame("runs", [run_row(run, plan, journals.controller, folded.outcomes)]),
        "hosts": frame("hosts", list(_hosts(run, plan, journals, folded.outcomes, facts, emulated))),
        "steps": frame("steps", list(_steps(run, plan, folded))),
        "samples": frame("samples", list(_samples(run, plan, journals, folded))),
        "histograms": frame("histograms", list(_histograms(run, plan, journals, folded))),
        "latencies": frame("latencies", list(_latencies(run, plan, journals, folded))),
        "histories": frame("histories", list(_histories(run, plan, journals, folded))),
        "events": frame("events", list(event_rows(run, plan, journals, folded))),
    }


def run_row(
    run: str,
    plan: Plan,
    controller: Sequence[Entry],
    outcomes: Sequence[Outcome],
    verdict: Verdict | None = None,
    exit_code: int | None = None,
) -> Row:
    begun = [e for e in controller if e.kind == "run_started"]
    ended = [e for e in controller if e.kind == "run_ended"]
    # after a resume that was killed the run has no end, though its first session had one
    over = ended[-1].t if ended and (not begun or ended[-1].seq > begun[-1].seq) else None
    said = begun[-1].data if begun else {}
    counts = {s: sum(o.status is s for o in outcomes) for s in Status}
    return (
        run,
        plan.name,
        begun[0].t if begun else None,
        over,
        None if verdict is None else str(verdict),
        exit_code,
        plan.seed,
        said.get("orch_version"),
        said.get("bundle"),
        said.get("git_commit"),
        said.get("git_dirty"),
        len(outcomes),
        counts[Status.PASSED],
        counts[Status.FAILED],
        counts[Status.STOPPED],
        counts[Status.LOST],
        counts[Status.SKIPPED],
        counts[Status.INVALID],
    )


def findings_frame(run: str, findings: Sequence[Finding]) -> pd.DataFrame:
    rows = [
        (
            run,
            f.analysis,
            f.subject,
            str(f.verdict),
            f.summary,
            f.value,
            f.bound,
            f.unit,
            f.low,
            f.high,
            json.dumps([asdict(e) for e in f.evidence], sort_keys=True),
        )
        for f in findings
    ]
    return frame("findings", rows)


# -- hosts -----------------------------------------------------------------------------------------


def _hosts(
    run: str,
    plan: Plan,
    journals: Journals,
    outcomes: Sequence[Outcome],
    facts: Mapping[str, Facts],
    emulated: Collection[str],
) -> Iterator[Row]:
    said = {e.data.get("host"): e.data for e in journals.controller if e.kind == "host"}
    shipped: dict[Any, int] = {}
    offsets: dict[Any, float] = {}
    for entry in journals.controller:
        if entry.kind == "host":
            host = entry.data.get("host")
            shipped[host] = shipped.get(host, 0) + int(entry.data.get("bytes_shipped") or 0)
            if entry.data.get("clock_offset_s") is not None:
                offsets[host] = entry.data["clock_offset_s"]
    planned = {h: f for h, f in facts.items() if h in plan.hosts}
    logs: dict[str, list[StepLog]] = {}
    for step in plan.steps:
        if step.id in journals.steps:
            logs.setdefault(step.host, []).append(journals.steps[step.id])
    for host in plan.hosts:
        status, reason = _host_status(host, plan, said.get(host), outcomes)
        marked = marks(host, planned, emulated, logs.get(host, ()))
        yield (
            run,
            host,
            status,
            reason,
            *_facts_columns(facts.get(host), bool(marked)),
            offsets.get(host),
            shipped.get(host),
            "; ".join(marked),
        )


def _facts_columns(fact: Facts | None, marked: bool) -> Row:
    if fact is None:
        return (*(None,) * 12, marked or None, None)
    return (
        fact.hostname,
        fact.arch,
        fact.cpu_model,
        sum(c.allowed for c in fact.cpus),
        sum(bool(n.cpus) for n in fact.nodes),
        fact.memory_bytes,
        fact.kernel,
        fact.os,
        fact.python,
        fact.microcode,
        fact.governor,
        fact.virtualisation,
        marked,
        fact.boot_id,
    )


def _host_status(
    host: str, plan: Plan, said: Mapping[str, Any] | None, outcomes: Sequence[Outcome]
) -> tuple[str, str]:
    if said is not None:
        status = str(said.get("status"))
        return (status, str(said.get("reason") or "")) if status in ("lost", "quarantined") else ("ok", "")
    unplanned = [s.lost for s in plan.steps if s.host == host and s.lost]
    if unplanned:
        return "lost", unplanned[0]
    if any(o.host == host and o.launches for o in outcomes):
        return "ok", ""
    if all(o.status is Status.SKIPPED for o in outcomes if o.host == host):
        return "ok", ""
    return "lost", "never contacted: the run ended before it"


# -- steps and samples -----------------------------------------------------------------------------


def _steps(run: str, plan: Plan, folded: Folded) -> Iterator[Row]:
    for step, o in zip(plan.steps, folded.outcomes, strict=True):
        builds = [n.build for n in folded.launches[step.id] if n.build]
        yield (
            run,
            step.host,
            step.job,
            step.id,
            str(o.status),
            o.reason,
            o.started,
            o.ended,
            step.workload,
            step.bench,
            step.variant,
            step.threads,
            step.placement,
            ",".join(map(str, step.cpus)),
            step.mem,
            dumps(step.cell),
            o.launches,
            o.launches_ok,
            step.shares_housekeeping,
            builds[0] if builds else None,
            step.seed,
        )


def _entries(plan: Plan, journals: Journals) -> Iterator[tuple[StepPlan, int, list[Entry]]]:
    for step in plan.steps:
        log = journals.steps.get(step.id)
        for number, entries in log.launches.items() if log else ():
            yield step, number, entries


def _samples(run: str, plan: Plan, journals: Journals, folded: Folded) -> Iterator[Row]:
    made = {(n.step, n.number): n for launches in folded.launches.values() for n in launches}
    cells = {step.id: dumps(step.cell) for step in plan.steps}
    for step, number, _ in _entries(plan, journals):
        launch = made[step.id, number]
        head = (run, step.host, step.job, step.id, number)
        tail = (
            step.bench,
            step.variant,
            step.threads,
            step.placement,
            cells[step.id],
            launch.build,
            step.seed if launch.seed is None else launch.seed,
            launch.ending is Ending.OK,
        )
        for m in launch.result.metrics if launch.result else ():
            yield (*head, "measure", m.metric, m.value, m.unit, launch.seconds, *tail)


def _histogram_records(
    run: str, plan: Plan, journals: Journals, folded: Folded
) -> Iterator[tuple[Row, Mapping[str, Any], Row]]:
    """(first columns, record, last columns) of each."""
    made = {(n.step, n.number): n for launches in folded.launches.values() for n in launches}
    for step, number, entries in _entries(plan, journals):
        launch = made[step.id, number]
        seed = step.seed if launch.seed is None else launch.seed
        for entry in entries:
            if entry.kind == "record" and entry.data.get("type") == "histogram":
                yield (run, step.host, step.job, step.id, number), entry.data, (launch.build, seed)


def _histograms(run: str, plan: Plan, journals: Journals, folded: Folded) -> Iterator[Row]:
    for head, data, tail in _histogram_records(run, plan, journals, folded):
        told = [_text(data.get(k)) for k in ("phase", "metric", "unit", "encoding", "data")]
        yield (*head, *told, *tail)


def _latencies(run: str, plan: Plan, journals: Journals, folded: Folded) -> Iterator[Row]:
    """One row per histogram that can be read; what cannot be is in `histograms` alone."""
    for head, data, tail in _histogram_records(run, plan, journals, folded):
        phase, metric, unit, encoding, text = (
            _text(data.get(k)) for k in ("phase", "metric", "unit", "encoding", "data")
        )
        if encoding != "hdr-v2-base64" or text is None:
            continue
        try:
            found = decode_histogram(text)
        except ValueError:
            continue
        if found.total:
            shares = [found.at(p) for p in PERCENTILES]
            told = (found.total, found.minimum, found.mean, *shares, found.maximum)
            yield (*head, phase, metric, unit, *told, *tail)


def _histories(run: str, plan: Plan, journals: Journals, folded: Folded) -> Iterator[Row]:
    """One row per window, whose records are put together; what is not of that shape is left out."""
    made = {(n.step, n.number): n for launches in folded.launches.values() for n in launches}
    for step, number, entries in _entries(plan, journals):
        launch = made[step.id, number]
        seed = step.seed if launch.seed is None else launch.seed
        for (spec, window), (calls, whole) in _windows(entries).items():
            head = (run, step.host, step.job, step.id, number)
            yield (*head, spec, window, whole, dumps(calls), launch.build, seed)


def _windows(entries: list[Entry]) -> dict[tuple[str, int], tuple[list[Any], bool]]:
    """(spec, window) → its calls, and whether its last record is there."""
    found: dict[tuple[str, int], tuple[list[Any], bool]] = {}
    for entry in entries:
        if entry.kind != "record" or entry.data.get("type") != "history":
            continue
        spec, window, ops = (entry.data.get(k) for k in ("spec", "window", "ops"))
        if isinstance(spec, str) and type(window) is int and isinstance(ops, list):
            calls, whole = found.get((spec, window), ([], False))
            found[spec, window] = (calls + ops, whole or entry.data.get("last") is True)
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
