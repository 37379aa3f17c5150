"""Does anything of a long job creep: throughput, memory, tail latency, errors? Theil–Sen slopes with an interval, per step.

Throughput is looked at over the whole step, interval by interval; resident memory within its longest launch, for a leak ends with
its process; the 99.9th percentile and counters of errors from launch to launch. Where the interval leaves out 0 to the bad side and
what that comes to in `over` hours is more than `limit` of the level, it is a drift, and of memory a leak. With `limit` given, a step
whose interval does not exclude that much is `unknown`: it was too short or too noisy to tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.analysis.parameters import Parameter, Parameters, Shape, read
from orchestrator.analysis.tables import Tables, data_of, jobs_of, marked, marked_hosts, of_step
from orchestrator.analysis.trend import MIN_POINTS, Numbers, Trend, theil_sen
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan, StepPlan

SHAPE: Shape = {
    "metric": Parameter(
        "text", "the only one to look at, such as rss, ops_per_second, p999; all that there are"
    ),
    "limit": Parameter(
        "fraction", "change in `over` hours that matters, of the level; 5%, and not to be excluded"
    ),
    "over": Parameter("number", "hours for which the slope is drawn on", default=24),
    "skip": Parameter("fraction", "share of the beginning that is left out", default=0.1),
    "confidence": Parameter("fraction", "confidence of the interval", default=0.99),
}

_LIMIT = 0.05
RSS = "rss"
#: What a counter of errors is called.
_ERRORS = ("error", "fail", "lost", "drop", "retr", "timeout")


@dataclass(frozen=True)
class _Series:
    """Over time within one step. ``bad``: +1 where rising is bad, -1 where falling is, 0 where either is."""

    step: StepPlan
    metric: str
    unit: str
    bad: int
    times: Numbers
    values: Numbers
    launch: int | None = None


@dataclass(frozen=True)
class _Asked:
    limit: float
    #: that much must be excluded, not only not be shown
    strictly: bool
    over_s: float
    skip: float
    confidence: float


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, parameters: Parameters) -> list[Finding]:
    said = read(SHAPE, parameters)
    asked = _Asked(
        said["limit"] or _LIMIT,
        said["limit"] is not None,
        float(said["over"]) * 3600,
        float(said["skip"]),
        float(said["confidence"]),
    )
    marks = marked_hosts(tables)
    findings = []
    for one in jobs_of(plan, job):
        for step in (s for s in plan.steps if s.job == one.name and not s.skip):
            found = [s for s in _series(tables, step) if said["metric"] in (None, s.metric)]
            made = [
                f
                for s in found
                if (f := _judge(s, asked, marks, always=said["metric"] is not None)) is not None
            ]
            findings += made or [_nothing(step, said["metric"] or "anything")]
    return findings


def _nothing(step: StepPlan, metric: str) -> Finding:
    text = f"{metric} was not measured over time: too few points for a slope, at least {MIN_POINTS}"
    here = [Evidence(host=step.host, job=step.job, step=step.id)]
    return Finding("drift", step.id, Verdict.UNKNOWN, text, evidence=here)


# -- the series of a step --------------------------------------------------------------------------------


def _series(tables: Tables, step: StepPlan) -> Iterator[_Series]:
    began = _begins(tables["events"], step)
    for metric, part in of_step(tables, "intervals", step).groupby("metric", sort=True):
        bad = -1 if str(metric).endswith("per_second") else 0
        yield _of(step, str(metric), bad, part, began, part["t_s"])
    yield from _memory(of_step(tables, "vitals", step), step)
    rows = tables["latencies"]
    rows = rows[(rows["step"] == step.id) & (rows["phase"] == "measure")]
    for metric, part in rows.groupby("metric", sort=True):
        tail = part.assign(value=part["p999"])
        name = "p999" if rows["metric"].nunique() == 1 else f"p999 of {metric}"
        yield _of(step, name, 1, tail, began, pd.Series(0.0, index=tail.index))
    yield from _errors(tables["events"], step, began)


def _begins(events: pd.DataFrame, step: StepPlan) -> dict[int, float]:
    """Launch → when it began, seconds on the host's clock."""
    rows = events[(events["step"] == step.id) & (events["source"] == "agent") & (events["kind"] == "started")]
    return {
        int(launch): time.timestamp()
        for launch, time in zip(rows["launch"], rows["time"], strict=True)
        if not pd.isna(time) and not pd.isna(launch)
    }


def _of(
    step: StepPlan,
    metric: str,
    bad: int,
    rows: pd.DataFrame,
    began: dict[int, float],
    within: pd.Series[float],
) -> _Series:
    known = rows["launch"].isin(list(began)) & within.notna() & rows["value"].notna()
    rows, within = rows[known], within[known]
    starts = np.asarray([began[int(n)] for n in rows["launch"]], dtype=np.float64)
    times = starts + np.asarray(within, dtype=np.float64)
    unit = str(rows["unit"].iloc[0]) if len(rows) else ""
    return _Series(step, metric, unit, bad, times, np.asarray(rows["value"], dtype=np.float64))


def _memory(vitals: pd.DataFrame, step: StepPlan) -> Iterator[_Series]:
    rows = vitals[vitals["metric"] == RSS]
    longest = max(rows.groupby("launch"), key=lambda g: float(g[1]["t_s"].max()), default=None)
    if longest is not None:
        number, part = longest
        times, values = part["t_s"].to_numpy(dtype=float), part["value"].to_numpy(dtype=float)
        yield _Series(step, RSS, "B", 1, times, values, int(str(number)))


def _errors(events: pd.DataFrame, step: StepPlan, began: dict[int, float]) -> Iterator[_Series]:
    rows = events[(events["step"] == step.id) & (events["source"] == "agent") & (events["kind"] == "counter")]
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for launch, text in zip(rows["launch"], rows["data"], strict=True):
        data = data_of(text)
        name, value = str(data.get("name", "")), data.get("value")
        if any(word in name for word in _ERRORS) and isinstance(value, int | float) and int(launch) in began:
            found.setdefault((name, str(data.get("unit", ""))), []).append((began[int(launch)], float(value)))
    for (name, unit), points in sorted(found.items()):
        at = np.asarray(points, dtype=np.float64)
        yield _Series(step, name, unit, 1, at[:, 0], at[:, 1])


# -- the verdict -----------------------------------------------------------------------------------------


def _judge(of: _Series, asked: _Asked, marks: frozenset[str], *, always: bool) -> Finding | None:
    """None where it is too short for a slope and nobody asked for just that."""
    trend = _trend(of, asked)
    subject = f"{of.step.id} {of.metric}"
    here = [Evidence(host=of.step.host, job=of.step.job, step=of.step.id, launch=of.launch)]
    if trend is None:
        if not always:
            return None
        text = f"{of.metric}: {len(of.times)} points, too few or too much alike for the interval of a slope"
        return Finding("drift", subject, Verdict.UNKNOWN, text, evidence=here)
    level = abs(trend.level)
    # of a level of 0 any change is all of it
    scale = asked.over_s / level if level else np.inf
    change, low, high = (_share(x, scale) for x in (trend.slope, trend.low, trend.high))
    toward = of.bad or (1 if change > 0 else -1)
    drifts = trend.shown and change * toward > asked.limit
    sides = (low, high) if of.bad == 0 else (high if of.bad > 0 else low,)
    open_ = asked.strictly and any(x * (of.bad or (1 if x > 0 else -1)) > asked.limit for x in sides)
    hours = asked.over_s / 3600
    told = (
        f"{change:+.2%} in {hours:g} h ({low:+.2%} to {high:+.2%}, {asked.confidence:.0%} interval), "
        f"from {trend.span / 3600:.3g} h and {len(of.times)} values around {trend.level:.4g} {of.unit}".rstrip()
    )
    if drifts:
        word = "leaks" if of.metric == RSS else "drifts"
        verdict, text = Verdict.VIOLATED, f"{of.metric} {word}: {told}"
    elif open_:
        verdict, text = Verdict.UNKNOWN, f"{of.metric}: a change of {asked.limit:.2%} is not excluded: {told}"
    else:
        verdict, text = Verdict.HOLDS, f"{of.metric}: no drift that matters: {told}"
    return Finding(
        "drift",
        subject,
        verdict,
        marked(text, of.step.host, marks),
        change,
        asked.limit * toward,
        "1",
        low,
        high,
        here,
    )


def _share(slope: float, scale: float) -> float:
    return 0.0 if slope == 0 else float(np.clip(slope * scale, -1e9, 1e9))


def _trend(of: _Series, asked: _Asked) -> Trend | None:
    if not len(of.times):
        return None
    first, last = float(of.times.min()), float(of.times.max())
    kept = of.times >= first + asked.skip * (last - first)
    return theil_sen(of.times[kept] - first, of.values[kept], asked.confidence)
