"""What did the search for races find, subject by subject? Reports of all detectors, merged by what they are about;
where none was found, what that is worth.

A report's signature is the contract or the kind of report, and the functions that came together where they are known.
A detector that reports code which holds locks is void: what it says of the subjects behind that gate counts
neither for nor against them. A subject of which nothing was seen, or not all, is `unknown`. Where there are several subjects, a
first finding says what the explorer has seen of all that nothing was found in.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from orchestrator.analysis.exposure import upper_bound
from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.race_histories import KIND, wrong_windows
from orchestrator.analysis.sanitizer import kind_of, reports
from orchestrator.analysis.spreading import Spread, here
from orchestrator.analysis.tables import EVIDENCE_ROWS, Tables, data_of, jobs_of
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan, StepPlan
from orchestrator.model.race import SUBJECTS, WORKLOAD

SHAPE: Shape = {
    "confidence": Parameter(
        "fraction", "confidence of the bound on what a clean subject excludes", default=0.99
    ),
}

#: Endings of a launch that say nothing of the code under test.
_NEUTRAL = ("launch_lost", "launch_stopped", "launch_invalid")
#: An error that says of the code under test what a hang says.
_STUCK = "did not come to its end"
#: A longer token stands in the evidence alone.
_SHORT = 200
#: Those after which nothing is known: it did not do its work.
_CONTRACT = re.compile(r"[A-Z]\d+")
_DID_NOT_RUN = ("launch_error", "launch_not_started")


@dataclass(frozen=True)
class Seen:
    """One report of one launch."""

    step: StepPlan
    launch: int
    kind: str
    functions: tuple[str, ...]
    text: str
    t: float
    token: str = ""
    trace: str = ""

    @property
    def detector(self) -> str:
        return str(self.step.cell.get("detector", ""))

    @property
    def signature(self) -> str:
        return f"{self.kind}: {' / '.join(self.functions)}" if self.functions else self.kind


@dataclass
class Exposure:
    """What a subject went through without a report."""

    executions: float = 0.0
    scenarios: set[str] = field(default_factory=set)
    operations: float = 0.0
    seconds: float = 0.0
    detectors: set[str] = field(default_factory=set)

    @property
    def told(self) -> str:
        parts = []
        if self.executions:
            count = len(self.scenarios)
            parts.append(f"{self.executions:.3g} executions of {count} scenario{'s' * (count != 1)}")
        if self.operations:
            parts.append(f"{self.operations:.3g} operations")
        return f"{', '.join([*parts, f'{self.seconds / 3600:.3g} host-hours'])} under {', '.join(sorted(self.detectors))}"

    def bound(self, confidence: float) -> str:
        said = []
        for trials, trial in ((self.executions, "execution"), (self.operations, "operation")):
            if trials:
                said.append(f"{upper_bound(trials, confidence):.3g} per {trial}")
        said.append(f"{upper_bound(self.seconds / 3600, confidence):.3g} per host-hour")
        return f"at {confidence * 100:.4g}% confidence fewer than {' and '.join(said)}"


def analyse(
    tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters, spread: Spread = here
) -> list[Finding]:
    confidence = read(SHAPE, parameters)["confidence"]
    findings: list[Finding] = []
    for one in jobs_of(plan, job):
        if one.workload == WORKLOAD:
            findings += _Job(tables, plan, one, confidence, spread).findings()
        elif job is not None:
            told = f"job {one.name} is a {one.workload} job: it looks for no races"
            findings.append(Finding("race", one.name, Verdict.UNKNOWN, told))
    return findings


@dataclass(frozen=True)
class _Row:
    source: str
    kind: str
    t: float
    text: str
    data: dict[str, Any]


class _Job:
    def __init__(self, tables: Tables, plan: Plan, job: JobPlan, confidence: float, spread: Spread) -> None:
        self._job, self._confidence = job, confidence
        self._steps = {s.id: s for s in plan.steps if s.job == job.name}
        own = tables["steps"][tables["steps"]["job"] == job.name]
        how = zip(own["step"], own["status"], own["reason"], strict=True)
        self._status = {str(step): (str(status), str(reason)) for step, status, reason in how}
        self._rows = _launches(tables, job.name)
        #: (step, launch) → how it ended, where that was badly
        self._bad: dict[tuple[str, int], _Row] = {}
        for key, rows in self._rows.items():
            ends = [
                r
                for r in rows
                if r.source == "fold" and r.kind.startswith("launch_") and r.kind not in _NEUTRAL
            ]
            if ends and key[0] in self._steps:
                self._bad[key] = ends[-1]
        self._seen = [seen for key, end in self._bad.items() for seen in self._reports(key, end)]
        #: of steps whose launches ended well: who recorded something impossible is told by nobody else
        wrong, self._open = wrong_windows(tables, job.name, spread)
        for w in wrong:
            t = max((r.t for r in self._rows.get((w.step, w.launch), ())), default=0.0)
            self._seen.append(Seen(self._steps[w.step], w.launch, KIND, (), w.text, t, trace=w.shown))
        self._wrong = {(w.step, w.launch) for w in wrong}
        made: Counter[str] = Counter()
        for (step, launch), rows in self._rows.items():
            if (step, launch) not in self._bad and "scenario" in getattr(self._steps.get(step), "cell", ()):
                made[step] += int(_executions(rows))
        #: whose launches ended well and were too short for a single execution of the explorer
        self._idle = {step for step, executions in made.items() if not executions}

    def findings(self) -> list[Finding]:
        subjects = dict.fromkeys(str(s.cell["subject"]) for s in self._steps.values() if "subject" in s.cell)
        found = list(self._gates())
        for subject in subjects:
            mine = [s for s in self._seen if s.step.cell.get("subject") == subject]
            void = self._void(subject)
            believed = [s for s in mine if s.detector not in void]
            found += [self._raced(subject, cluster) for cluster in clusters(believed)]
            if not believed:
                found.append(self._clean(subject, void))
        return [*self._in_all(list(subjects)), *found]

    # -- what was reported --------------------------------------------------------------------------------

    def _reports(self, key: tuple[str, int], end: _Row) -> list[Seen]:
        if not _ran(end):
            return []
        step, launch = self._steps[key[0]], key[1]
        said = [r for r in self._rows[key] if r.source == "agent"]
        found = [_described(step, launch, r) for r in said if r.kind == "violation"]
        lines = [r for r in said if r.kind == "output"]
        told = reports(str(line.data.get("text", "")) for line in lines)
        found += [Seen(step, launch, r.kind, r.functions, r.text, lines[0].t) for r in told]
        t = max((r.t for r in said), default=0.0)
        return found or [
            Seen(step, launch, _name(end.kind, end.text), (), end.text, t, trace=_backtrace(said))
        ]

    # -- gates ---------------------------------------------------------------------------------------------

    def _gate_failures(self) -> Iterator[tuple[StepPlan, str]]:
        for (step, _), end in self._bad.items():
            if "gate" in self._steps[step].cell and _ran(end):
                yield self._steps[step], end.text

    def _gates(self) -> Iterator[Finding]:
        for step, why in self._gate_failures():
            detector, gate = step.cell["detector"], step.cell["gate"]
            told = f"{detector} is void behind {gate}, which holds locks and which it reports: {why}"
            evidence = [Evidence(host=step.host, job=self._job.name, step=step.id, text=why)]
            yield Finding(
                "race", f"{self._job.name} {detector} {gate}", Verdict.UNKNOWN, told, evidence=evidence
            )

    def _void(self, subject: str) -> set[str]:
        gates = SUBJECTS[subject].gates if subject in SUBJECTS else ()
        return {str(s.cell["detector"]) for s, _ in self._gate_failures() if s.cell["gate"] in gates}

    # -- findings ------------------------------------------------------------------------------------------

    def _raced(self, subject: str, cluster: list[Seen]) -> Finding:
        first = min(cluster, key=lambda s: s.t)
        hosts = sorted({s.step.host for s in cluster})
        detectors = sorted({s.detector for s in cluster})
        launches = {(s.step.id, s.launch) for s in cluster}
        signature = max((s.signature for s in cluster), key=len)
        hours = self._exposure(subject, set()).seconds / 3600
        token = next((s.token for s in cluster if s.token), "")
        text = (
            f"{signature}; found by {', '.join(detectors)} on {', '.join(hosts)} in {len(launches)} "
            f"launch{'es' * (len(launches) != 1)}"
            f"{f', {len(launches) / hours:.3g} per host-hour' if hours else ''}; "
            f"first {first.step.id} launch {first.launch}: {first.text}"
            f"{f'; orch replay {token}' if 0 < len(token) <= _SHORT else ''}"
        )
        return Finding(
            analysis="race",
            subject=f"{self._job.name} {subject} {signature}",
            verdict=Verdict.VIOLATED,
            summary=text,
            value=float(len(launches)),
            bound=0.0,
            unit="launches",
            evidence=[self._evidence(s) for s in cluster[:EVIDENCE_ROWS]],
        )

    def _evidence(self, seen: Seen) -> Evidence:
        parts = [seen.text, f"orch replay {seen.token}" if seen.token else "", seen.trace]
        text = "\n".join(p for p in parts if p)
        return Evidence(seen.step.host, self._job.name, seen.step.id, seen.launch, None, text)

    def _clean(self, subject: str, void: set[str]) -> Finding:
        seen = self._exposure(subject, void)
        name = f"{self._job.name} {subject}"
        missing = self._missing(subject)
        if void:
            missing.append(f"void: {', '.join(sorted(void))}")
        if not seen.seconds:
            told = "; ".join(["nothing was exposed to anything", *missing])
            return Finding("race", name, Verdict.UNKNOWN, told)
        bound = upper_bound(seen.seconds / 3600, self._confidence)
        told = "; ".join([f"none found in {seen.told}: {seen.bound(self._confidence)}", *missing])
        verdict = Verdict.UNKNOWN if missing else Verdict.HOLDS
        return Finding("race", name, verdict, told, 0.0, None, "1/h", low=0.0, high=bound)

    def _in_all(self, subjects: list[str]) -> Iterator[Finding]:
        """Executions of the explorer in which nothing was found, over all subjects, and what that excludes; whatever was found beside it has a
        finding of its own, and of sources that are right it is a false alarm."""
        void: dict[Any, set[str]] = {s: self._void(s) for s in subjects}
        seen = [self._exposure(s, void[s]) for s in subjects]
        executions = sum(s.executions for s in seen)
        if len(subjects) < 2 or not executions:
            return
        scenarios = {name for one in seen for name in one.scenarios}
        found = {
            s.signature
            for s in self._seen
            if s.detector not in void.get(s.step.cell.get("subject"), {s.detector})
        }
        whole = not any(self._missing(s) for s in subjects)
        verdict = Verdict.HOLDS if whole and not found else Verdict.UNKNOWN
        bound = upper_bound(executions, self._confidence)
        beside = f"{len(found)} found beside" if found else "none found in"
        told = (
            f"{beside} {executions:,.0f} executions of {len(scenarios)} scenario{'s' * (len(scenarios) != 1)} of "
            f"{len(subjects)} subjects: at {self._confidence * 100:.4g}% confidence fewer than {bound:.3g} per execution"
        )
        yield Finding("race", f"{self._job.name} in all", verdict, told, executions, None, "executions")

    def _missing(self, subject: str) -> list[str]:
        """What of the subject was planned and gave nothing, each reason once."""
        why: Counter[str] = Counter()
        for step in self._steps.values():
            if step.cell.get("subject") != subject:
                continue
            status, reason = self._status.get(step.id, ("lost", "not in the tables"))
            ran = any(s == step.id and _ran(end) for (s, _), end in self._bad.items())
            if status in ("lost", "skipped", "stopped", "invalid") or (status == "failed" and not ran):
                why[f"{step.cell['detector']} {status}: {reason}"] += 1
            elif step.id in self._idle:
                why["explore in which no execution came to its end"] += 1
            elif step.id in self._open:
                why[
                    f"{step.cell['detector']} with windows that could not be judged: {self._open[step.id]}"
                ] += 1
        return [f"{count} step{'s' * (count != 1)} of {text}" for text, count in why.items()]

    def _exposure(self, subject: str, void: set[str]) -> Exposure:
        """Of launches that ended well, and of the time of those that did not."""
        made = Exposure()
        for key, rows in self._rows.items():
            step = self._steps.get(key[0])
            results = [r.data for r in rows if r.source == "agent" and r.kind == "result"]
            if (
                step is None
                or not results
                or step.cell.get("subject") != subject
                or step.cell["detector"] in void
            ):
                continue
            made.seconds += _positive(results[-1].get("seconds"))
            if key in self._bad or key in self._wrong:
                continue
            made.detectors.add(str(step.cell["detector"]))
            if "scenario" in step.cell:
                made.executions += _executions(rows)
                made.scenarios.add(str(step.cell["scenario"]))
            else:
                made.operations += _positive(results[-1].get("ops"))
        return made


def clusters(seen: Iterable[Seen]) -> list[list[Seen]]:
    """Reports that are about the same: of one kind, and with a function in common, or with none known."""
    made: list[list[Seen]] = []
    for one in sorted(seen, key=lambda s: (s.kind, -len(s.functions), s.t)):
        for cluster in made:
            known = {f for s in cluster for f in s.functions}
            if cluster[0].kind == one.kind and (not one.functions or known & set(one.functions)):
                cluster.append(one)
                break
        else:
            made.append([one])
    return made


def _launches(tables: Tables, job: str) -> dict[tuple[str, int], list[_Row]]:
    events = tables["events"]
    events = events[(events["job"] == job) & events["launch"].notna()]
    columns = [events[c] for c in ("step", "launch", "source", "kind", "time", "text", "data")]
    made: dict[tuple[str, int], list[_Row]] = {}
    for step, launch, source, kind, t, text, data in zip(*columns, strict=True):
        row = _Row(str(source), str(kind), _seconds(t), str(text), data_of(data))
        made.setdefault((str(step), int(launch)), []).append(row)
    return made


def _described(step: StepPlan, launch: int, row: _Row) -> Seen:
    """A violation that the program put into words."""
    data = row.data
    text = str(data.get("message") or data.get("evidence") or row.text)
    contract, trace = str(data.get("contract") or ""), data.get("trace")
    # of the explorer: SUBJECT:race:FUNCTION:FUNCTION, or SUBJECT and what was expected
    signature = str(data.get("signature") or "").split(":")
    functions = tuple(signature[2:4]) if signature[1:2] == ["race"] and len(signature) == 4 else ()
    return Seen(
        step,
        launch,
        contract if _CONTRACT.fullmatch(contract) else kind_of(text),
        functions,
        text,
        row.t,
        str(data.get("token") or ""),
        "\n".join(map(str, trace)) if isinstance(trace, list) else "",
    )


def _executions(rows: Iterable[_Row]) -> float:
    """Of one launch of the explorer: as it counts them, else its operations."""
    counted = [r.data for r in rows if r.kind == "counter" and r.data.get("name") == "executions"]
    results = [r.data for r in rows if r.source == "agent" and r.kind == "result"]
    return sum(_positive(data.get("value")) for data in counted) or _positive(
        results[-1].get("ops") if results else 0
    )


def _backtrace(rows: Iterable[_Row]) -> str:
    """Of a core dump, as the agent noted it."""
    texts = (str(r.data.get("text", "")) for r in rows if r.kind == "note")
    return "\n".join(t.removeprefix("backtrace: ") for t in texts if t.startswith("backtrace: "))


def _ran(end: _Row) -> bool:
    """Whether what went wrong is the doing of the code under test."""
    return end.kind not in _DID_NOT_RUN or _STUCK in end.text


def _name(kind: str, why: str) -> str:
    """Of a launch that ended badly and said nothing: crashed by which signal, hung, …"""
    ending = kind.removeprefix("launch_")
    return {"crashed": why, "timeout": "hang", "error": "hang", "exit": why, "no_result": why}.get(
        ending, ending
    )


def _positive(value: Any) -> float:
    good = (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    )
    return float(value) if good else 0.0


def _seconds(value: Any) -> float:
    return 0.0 if pd.isna(value) else float(pd.Timestamp(value).timestamp())
