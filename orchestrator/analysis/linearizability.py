"""Can the recorded calls have taken effect one after the other, each between its call and its return? One finding per kind of history;
a wrong window is shown by the few calls that suffice to see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from orchestrator.analysis.exposure import upper_bound
from orchestrator.analysis.histories.check import Answer, Window, check_windows
from orchestrator.analysis.histories.shown import columns
from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.spreading import Spread, here
from orchestrator.analysis.tables import Tables, jobs_of
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan

SHAPE: Shape = {
    "confidence": Parameter(
        "fraction", "confidence of the bound on what a clean result excludes", default=0.99
    ),
}

#: Characters of recorded calls in one piece of work: a tenth of a second or so.
_PIECE = 400_000

#: Wrong windows that a finding shows.
_SHOWN = 4


def analyse(
    tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters, spread: Spread = here
) -> list[Finding]:
    asked = read(SHAPE, parameters)
    findings = []
    for one in jobs_of(plan, job):
        rows = tables["histories"]
        rows = rows[rows["job"] == one.name]
        if not len(rows):
            text = "no history was recorded: nothing was looked at"
            findings.append(Finding("linearizability", one.name, Verdict.UNKNOWN, text))
            continue
        answers = _answers(rows, spread)
        for spec in sorted(set(rows["spec"])):
            of_spec = (rows["spec"] == spec).to_numpy()
            chosen = [a for a, is_one in zip(answers, of_spec, strict=True) if is_one]
            findings.append(_finding(one, str(spec), rows[of_spec], chosen, asked["confidence"]))
    return findings


def _answers(rows: pd.DataFrame, spread: Spread) -> list[Answer]:
    pieces: list[list[Window]] = []
    size = _PIECE
    for spec, data in zip(rows["spec"], rows["data"], strict=True):
        if size >= _PIECE:
            pieces.append([])
            size = 0
        pieces[-1].append(Window(str(spec), str(data)))
        size += len(data)
    return [answer for answers in spread(check_windows, pieces) for answer in answers]


def _finding(
    job: JobPlan, spec: str, rows: pd.DataFrame, answers: list[Answer], confidence: float
) -> Finding:
    whole = rows["whole"].to_numpy()
    wrong = [(r, a) for r, a in zip(rows.itertuples(), answers, strict=True) if a.fault is not None]
    subject = f"{job.name} {spec}"
    looked_at = f"{len(answers)} windows with {sum(a.calls for a in answers)} calls"
    if wrong:
        return _violated(subject, wrong, looked_at)
    open_ = Counter(
        a.undecided or "not all of its records are there"
        for a, is_whole in zip(answers, whole, strict=True)
        if a.undecided or not is_whole
    )
    if open_:
        why, count = open_.most_common(1)[0]
        text = f"{sum(open_.values())} of {looked_at} could not be judged; {count} of them: {why}"
        return Finding(
            "linearizability", subject, Verdict.UNKNOWN, text, float(open_.total()), 0.0, "windows"
        )
    bound = upper_bound(len(answers), confidence)
    text = f"all of {looked_at} are linearizable: at {confidence * 100:.4g}% confidence fewer than {bound:.3g} wrong ones per window"
    return Finding("linearizability", subject, Verdict.HOLDS, text, 0.0, 0.0, "windows", low=0.0, high=bound)


def _violated(subject: str, wrong: Sequence[tuple[object, Answer]], looked_at: str) -> Finding:
    evidence = []
    for row, answer in wrong[:_SHOWN]:
        assert answer.fault is not None
        lines = [f"window {_of(row, 'window')}: {answer.fault.what}", *columns(answer.fault.calls)]
        evidence.append(
            Evidence(
                host=str(_of(row, "host")),
                job=str(_of(row, "job")),
                step=str(_of(row, "step")),
                launch=int(str(_of(row, "launch"))),
                text="\n".join(lines),
            )
        )
    first, answer = wrong[0]
    assert answer.fault is not None
    where = f"{_of(first, 'step')} launch {_of(first, 'launch')} window {_of(first, 'window')}"
    text = (
        f"{len(wrong)} of {looked_at} are not linearizable, first {where} on {_of(first, 'host')}: {answer.fault.what} "
        f"({len(answer.fault.calls)} of {answer.calls} calls suffice to see it)"
    )
    return Finding(
        "linearizability",
        subject,
        Verdict.VIOLATED,
        text,
        float(len(wrong)),
        0.0,
        "windows",
        evidence=evidence,
    )


def _of(row: object, column: str) -> object:
    return getattr(row, column)
