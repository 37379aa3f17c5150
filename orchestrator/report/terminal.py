"""The report for a person at a terminal, or for whoever reads it from a pipe: plain text there."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.analysis.bootstrap import ENOUGH_LAUNCHES
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.outcome import Outcome, Status
from orchestrator.report.again import rerun_command
from orchestrator.report.figures import Figure, HostFigures, figures
from orchestrator.report.words import clean, clip, duration, quantity, verdict_line
from orchestrator.results.folder import RunFolder
from orchestrator.results.launch import FAILURES, Launch
from orchestrator.results.rebuild import Rebuilt

_STYLES = {"HOLDS": "bold green", "VIOLATED": "bold red", "UNKNOWN": "bold yellow"}
#: Of what there may be thousands, this many are shown; the tables hold the rest.
SHOWN = 10
SHOWN_HOSTS = 8
_PLAIN_WIDTH = 120
#: Longest reason that is shown, characters; a compiler has much to say.
_REASON = 1000


def console_for(file: IO[str] | None = None, width: int | None = None) -> Console:
    """As wide as the terminal; no colour under NO_COLOR; no markup, so that what a program printed
    is shown as it is."""
    out = sys.stdout if file is None else file
    tty = out.isatty()
    # a pipe has no width: tables are as wide as they need to be
    return Console(
        file=out,
        width=width if width is not None else (None if tty else _PLAIN_WIDTH),
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=tty,
    )


def render(rebuilt: Rebuilt, folder: RunFolder, console: Console) -> None:
    _head(rebuilt, console)
    _failures(rebuilt, folder, console)
    _findings(rebuilt, console)
    _figures(rebuilt, console)
    _not_run(rebuilt, console)
    _marked(rebuilt, console)
    _oddities(rebuilt, console)
    _files(rebuilt, folder, console)


def _say(console: Console, text: str, style: str = "") -> None:
    """One paragraph: wrapped on a terminal, one line in a pipe."""
    console.print(Text(clean(text), style), soft_wrap=not console.is_terminal)


def _title(console: Console, text: str) -> None:
    console.print()
    _say(console, text, "bold")


def _head(rebuilt: Rebuilt, console: Console) -> None:
    plan = rebuilt.plan
    names = ", ".join(plan.hosts[:4]) + (" …" if len(plan.hosts) > 4 else "")
    hosts = f"{len(plan.hosts)} host{'s' if len(plan.hosts) != 1 else ''} ({names})"
    _say(console, f"run {rebuilt.run}", "bold")
    _say(console, f"playbook {plan.name} · {hosts} · seed {plan.seed} · took {duration(rebuilt.took_s)}")
    word, text = verdict_line(rebuilt)
    line = Text(word, _STYLES.get(word, "bold yellow"))
    console.print()
    console.print(line.append(clean(f" – {text}"), "not bold default"), soft_wrap=not console.is_terminal)


def _failures(rebuilt: Rebuilt, folder: RunFolder, console: Console) -> None:
    failed = [o for o in rebuilt.outcomes if o.status is Status.FAILED]
    if not failed:
        return
    steps = {s.id: s for s in rebuilt.plan.steps}
    _title(console, f"Failed ({len(failed)})")
    by_reason: dict[str, list[Outcome]] = {}
    for outcome in failed[:SHOWN]:
        by_reason.setdefault(outcome.reason, []).append(outcome)
    for reason, outcomes in by_reason.items():
        # one cause may fail many steps: it is told once
        names = ", ".join(o.step for o in outcomes)
        _say(console, f"  {names}: {clip(reason, _REASON)}", "red")
        for outcome in outcomes:
            launch = next((n for n in rebuilt.launches[outcome.step] if n.ending in FAILURES), None)
            for place in _places(folder, outcome, launch):
                _say(console, f"    look:  {place}")
            _say(console, f"    again: {rerun_command(folder, steps[outcome.step], launch)}")
    if len(failed) > SHOWN:
        _say(console, f"  and {len(failed) - SHOWN} more: {_query(rebuilt, 'steps', 'failed')}")


def _places(folder: RunFolder, outcome: Outcome, launch: Launch | None) -> Iterator[Path]:
    """Journal and evidence, as far as there are any."""
    journal = folder.journal(outcome.host, outcome.step)
    if journal.is_file():
        yield journal
    if launch is not None:
        evidence = folder.evidence(outcome.host, outcome.step, launch.number)
        if evidence.is_dir():
            yield evidence


def _query(rebuilt: Rebuilt, table: str, status: str) -> str:
    """A command for the person who reads it; nothing here runs it."""
    where = f"run = '{rebuilt.run}' and status = '{status}'"
    return f'orch results query "select * from {table} where {where}"'  # noqa: S608 - text for a person


def _drawn(finding: Finding) -> list[str]:
    """The lines of its first evidence, where that is a drawing."""
    lines = finding.evidence[0].text.splitlines() if finding.evidence else []
    return lines if len(lines) > 1 else []


def _findings(rebuilt: Rebuilt, console: Console) -> None:
    """What was asked and did not hold; what always runs is told by the verdict and the failures."""
    for verdict, style in ((Verdict.VIOLATED, "red"), (Verdict.UNKNOWN, "yellow")):
        found = [f for f in rebuilt.findings if f.verdict is verdict and f.analysis != "accounting"]
        if not found:
            continue
        _title(console, f"{verdict.capitalize()} ({len(found)})")
        for finding in found[:SHOWN]:
            _say(console, f"  {finding.analysis}, {finding.subject}: {finding.summary}", style)
            for line in _drawn(finding):
                _say(console, f"      {line}")
        if len(found) > SHOWN:
            _say(console, f"  and {len(found) - SHOWN} more in findings.json")
    shown = ("compare", "exposure", "linearizability", "race")
    asked = [f for f in rebuilt.findings if f.verdict is Verdict.HOLDS and f.analysis in shown]
    if asked:
        _title(console, f"Holds ({len(asked)})")
        for finding in asked[:SHOWN]:
            _say(console, f"  {finding.analysis}, {finding.subject}: {finding.summary}")
        if len(asked) > SHOWN:
            _say(console, f"  and {len(asked) - SHOWN} more in findings.json")


# -- figures ---------------------------------------------------------------------------------------


def _figures(rebuilt: Rebuilt, console: Console) -> None:
    made, left = figures(rebuilt, SHOWN_HOSTS)
    for one in made:
        mark = ", emulated or shared host: enters no baseline" if one.marked else ""
        _title(console, f"{one.job} on {one.host}, {one.metric}, median over launches{mark}")
        console.print(_figure_table(one, console))
        middles = [r.point.middle for r in one.rows if r.point.middle]
        if any(m.half_width is not None and m.launches < ENOUGH_LAUNCHES for m in middles):
            _say(console, f"with fewer than {ENOUGH_LAUNCHES} launches ± promises too much")
    if left:
        _say(
            console,
            f"  and {left} more tables like these: orch results export {rebuilt.run}",
        )


def _figure_table(one: HostFigures, console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, padding=(0, 1))
    spread = len({(r.point.step.placement, _others(r)) for r in one.rows}) > 1
    speedups = any(r.point.speedup for r in one.rows)
    table.add_column("threads", justify="right")
    table.add_column("bench", overflow="fold")
    if spread:
        table.add_column("cell", overflow="fold")
    for name in ("median", "± 99%", "launches", *(["speedup", "efficiency"] if speedups else [])):
        table.add_column(name, justify="right", overflow="fold")
    if one.base:
        table.add_column(f"to {one.base}", justify="right", overflow="fold")
    for row in one.rows:
        cells = [str(row.point.step.threads), row.point.step.bench or row.point.step.workload]
        cells += [f"{row.point.step.placement} {_others(row)}".rstrip()] if spread else []
        table.add_row(*(clean(c) for c in [*cells, *_row(row, speedups, bool(one.base))]))
    return table


def _others(row: Figure) -> str:
    shown = ("threads", "placement", "bench")
    return " ".join(f"{k}={v}" for k, v in sorted(row.point.step.cell.items()) if k not in shown)


def _row(row: Figure, speedups: bool, ratios: bool) -> Iterator[str]:
    point = row.point
    if point.middle is None:
        yield from ("not measured", "", "0")
    else:
        width = point.middle.half_width
        yield quantity(point.middle.middle, point.unit)
        yield "–" if width is None else f"{width:.1%}"
        yield str(point.middle.launches)
    if speedups:
        yield "" if point.speedup is None else f"{point.speedup.middle:.2f}×"
        yield "" if point.efficiency is None else f"{point.efficiency:.2f}"
    if ratios:
        yield "" if row.ratio is None else f"{row.ratio.middle:.2f}×"


# -- what did not run, and the rest ----------------------------------------------------------------


def _not_run(rebuilt: Rebuilt, console: Console) -> None:
    hosts = rebuilt.tables["hosts"]
    lost = hosts[hosts["status"] == "lost"]
    if len(lost):
        _title(console, f"Lost hosts ({len(lost)} of {len(hosts)})")
        for host, reason in list(zip(lost["host"], lost["reason"], strict=True))[:SHOWN]:
            _say(console, f"  {host}: {reason}", "yellow")
        if len(lost) > SHOWN:
            _say(console, f"  and {len(lost) - SHOWN} more: {_query(rebuilt, 'hosts', 'lost')}")
    bad = hosts[hosts["status"] == "quarantined"]
    if len(bad):
        _title(console, f"Broken hosts ({len(bad)} of {len(hosts)}), quarantined")
        for host, reason in list(zip(bad["host"], bad["reason"], strict=True))[:SHOWN]:
            _say(console, f"  {host}: {reason}", "red")
    for status in (Status.INVALID, Status.LOST, Status.STOPPED, Status.SKIPPED):
        reasons = Counter(o.reason for o in rebuilt.outcomes if o.status is status)
        if not reasons:
            continue
        _title(console, f"{status.capitalize()} ({reasons.total()} of {len(rebuilt.outcomes)} planned cells)")
        for reason, count in reasons.most_common(SHOWN):
            _say(console, f"  {count} × {clip(reason, _REASON)}")
        if len(reasons) > SHOWN:
            _say(console, f"  and {len(reasons) - SHOWN} more reasons: {_query(rebuilt, 'steps', status)}")
    if any(_missing(o) for o in rebuilt.outcomes if o.job not in rebuilt.stopped_jobs):
        _say(console, f"to make up for what is missing: orch resume {rebuilt.run}")


def _missing(outcome: Outcome) -> bool:
    """It may be had yet: what ended it was not the code, and nobody has asked for that end."""
    interrupted = outcome.status is Status.STOPPED and outcome.reason.startswith("interrupted")
    return interrupted or outcome.status in (Status.INVALID, Status.LOST)


def _marked(rebuilt: Rebuilt, console: Console) -> None:
    hosts = rebuilt.tables["hosts"]
    why: dict[str, list[str]] = {}
    for host, said in zip(hosts["host"], hosts["marks"].fillna(""), strict=True):
        if said:
            why.setdefault(said, []).append(host)
    if not why:
        return
    _title(console, f"Figures that enter no baseline ({sum(map(len, why.values()))} of {len(hosts)} hosts)")
    for said, names in list(why.items())[:SHOWN]:
        _say(console, f"  {', '.join(names[:4])}{' …' if len(names) > 4 else ''}: {said}")


def _oddities(rebuilt: Rebuilt, console: Console) -> None:
    events = rebuilt.tables["events"]
    odd = events[(events["source"] == "fold") & events["kind"].isin(["warning", "fault", "repeated"])]
    if not len(odd):
        return
    _title(console, f"Odd ({len(odd)})")
    for step, text in list(zip(odd["step"].fillna("controller"), odd["text"], strict=True))[:SHOWN]:
        _say(console, f"  {step}: {text}")
    if len(odd) > SHOWN:
        _say(console, f"  and {len(odd) - SHOWN} more in the table `events`")


def _files(rebuilt: Rebuilt, folder: RunFolder, console: Console) -> None:
    _title(console, "Files")
    _say(console, f"  {folder.path}/  plan.json, journal/, tables/*.parquet, findings.json")
    crashed = any(f.summary.startswith("analysis crashed") for f in rebuilt.findings)
    if crashed:
        _say(console, f"  {folder.log}  traceback of the analysis that crashed", "yellow")
    _say(console, f"  orch results export {rebuilt.run} --format csv")
