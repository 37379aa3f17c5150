"""A run folder → tables, findings, verdict and exit code. Needs nothing but the folder, and may be
repeated at any time: while the run goes on, after it, or after whoever drove it was killed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import yaml

from agents.wire import Entry, Facts, WireError, decode
from orchestrator.analysis import Log, judge
from orchestrator.analysis.spreading import Spread, here
from orchestrator.errors import (
    EXIT_HALTED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNKNOWN,
    EXIT_VIOLATED,
    InputError,
)
from orchestrator.model.finding import Finding, Verdict, worst
from orchestrator.model.outcome import Outcome, Status
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.model.tables import TABLES_VERSION
from orchestrator.results.evidence import write_evidence
from orchestrator.results.fold import Folded, fold
from orchestrator.results.folder import RunFolder, read_json
from orchestrator.results.journals import Journals, read_journals, read_steps
from orchestrator.results.launch import Launch
from orchestrator.results.long import LongTables, RunTables
from orchestrator.results.schema import frame
from orchestrator.results.store import write_tables
from orchestrator.results.tables import Tables, build_tables, findings_frame, run_row


@dataclass(frozen=True)
class Rebuilt:
    """All that follows from a run folder. ``outcomes`` in the order of the plan, ``launches`` by step."""

    run: str
    plan: Plan
    tables: Tables
    outcomes: list[Outcome]
    launches: dict[str, list[Launch]]
    findings: list[Finding]
    verdict: Verdict
    exit_code: int
    interrupted: bool
    #: jobs that a stop condition has ended
    stopped_jobs: frozenset[str]
    #: seconds, as far as the journals tell
    took_s: float


def rebuild(folder: RunFolder, *, write: bool = True, spread: Spread = here) -> Rebuilt:
    """With ``write``, tables/*.parquet and findings.json are made anew. ``spread``: by whom large analyses are made. Raises InputError where there is
    no readable plan, RunFolderError where the folder cannot be written."""
    plan = load_plan(folder)
    with LongTables(folder, write=write) as long:
        journals = read_journals(folder, plan, long.keep)
    folded = fold(plan, journals)
    log = folder.write_log if write else _unwritten
    about = (_facts(folder, plan, log), _emulated(folder, log))
    tables = RunTables(build_tables(folder.id, plan, journals, folded, *about), long)
    findings = judge(tables, plan, log, spread)
    verdict = worst(f.verdict for f in findings)
    code = exit_code(folded, findings)
    row = run_row(folder.id, plan, journals.controller, folded.outcomes, verdict, code)
    tables["runs"] = frame("runs", [row])
    tables["findings"] = findings_frame(folder.id, findings)
    if write:
        folder.write("findings.json", findings_json(folder.id, verdict, code, findings))
        write_tables(folder, tables)
        write_evidence(folder, journals, folded)
    return Rebuilt(
        run=folder.id,
        plan=plan,
        tables=tables,
        outcomes=folded.outcomes,
        launches=folded.launches,
        findings=findings,
        verdict=verdict,
        exit_code=code,
        interrupted=folded.interrupted,
        stopped_jobs=folded.stopped_jobs,
        took_s=_took(journals.controller, folded.outcomes),
    )


def load_plan(folder: RunFolder) -> Plan:
    """Raises InputError."""
    try:
        return Plan.from_json(read_json(folder.plan))
    except WireError as e:
        raise InputError(str(folder.plan), f"is not a plan: {e}") from e


def exit_code(folded: Folded, findings: Sequence[Finding]) -> int:
    """An interrupt tells more than whatever it cut short; else the worst that was found."""
    statuses = {o.status for o in folded.outcomes}
    verdict = worst(f.verdict for f in findings)
    if folded.interrupted:
        return EXIT_INTERRUPTED
    if verdict is Verdict.VIOLATED or Status.FAILED in statuses:
        return EXIT_VIOLATED
    if verdict is Verdict.UNKNOWN or statuses & {Status.LOST, Status.INVALID}:
        return EXIT_UNKNOWN
    return EXIT_HALTED if Status.STOPPED in statuses else EXIT_OK


def findings_json(run: str, verdict: Verdict, code: int, findings: Sequence[Finding]) -> str:
    value = {
        "run": run,
        "tables_version": TABLES_VERSION,
        "verdict": verdict,
        "exit_code": code,
        "findings": [asdict(f) for f in findings],
    }
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def statuses(
    folder: RunFolder, steps: Sequence[StepPlan], controller: Sequence[Entry]
) -> dict[str, tuple[Status, str]]:
    """How these steps ended, (status, reason) by step: for whoever must know it while the run goes on.
    ``controller``: what the controller's journal says about them, so that it need not be read again."""
    plan = Plan(0, "", 0, [], [], [], [], 0.0, list(steps))
    journals = Journals(list(controller), [], read_steps(folder, steps))
    return {o.step: (o.status, o.reason) for o in fold(plan, journals).outcomes}


def _facts(folder: RunFolder, plan: Plan, log: Log) -> dict[str, Facts]:
    """Hosts without readable facts are left out: their columns are null."""
    found = {}
    for host in plan.hosts:
        path = folder.facts(host)
        if path.is_file():
            try:
                found[host] = decode(Facts, read_json(path))
            except (InputError, WireError) as e:
                log(f"facts of {host}: {e}\n")
    return found


def _emulated(folder: RunFolder, log: Log) -> set[str]:
    """Hosts that the inventory of the run marks; none where it cannot be read."""
    path = folder.path / "inventory.yml"
    if not path.is_file():
        return set()
    try:
        hosts = yaml.safe_load(path.read_text())["hosts"]
        return {str(name) for name, host in hosts.items() if host.get("emulated")}
    except (OSError, ValueError, yaml.YAMLError, AttributeError, LookupError, TypeError) as e:
        log(f"{path}: {e}\n")
        return set()


def _unwritten(_: str) -> None:
    """Of a rebuild that leaves the folder as it is, a crashed analysis shows in its finding alone."""


def _took(controller: Sequence[Entry], outcomes: Sequence[Outcome]) -> float:
    """Where the controller was killed, the last end of a launch on a host stands for its own last word."""
    if not controller:
        return 0.0
    over = any(e.kind == "run_ended" for e in controller)
    ends = [] if over else [o.ended for o in outcomes if o.ended is not None]
    return max(controller[-1].t, *ends) - controller[0].t if ends else controller[-1].t - controller[0].t
