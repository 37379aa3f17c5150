"""Progress of a run on standard error: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.report.board import Board, HostState

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from agents.wire import Entry
    from orchestrator.engine.unit import Unit
    from orchestrator.model.plan import Plan

MAX_ROWS = 16


class Progress(Board):
    """What a run tells of itself while it goes on, in lines on standard error or wherever ``out`` leads."""

    def __init__(self, out: TextIO | None = None, prefix: str = "orch: ") -> None:
        super().__init__()
        self.out = out or sys.stderr
        self.prefix = prefix
        #: nothing is said: it is of the past
        self.quiet = False

    def stage(self, text: str) -> None:
        """Before the hosts work: what is being done."""
        self.say(text)

    def began(self, unit: Unit) -> None:
        self.hosts[unit.address.name].state = unit.job.name

    def entry(self, unit: Unit, step: str, entry: Entry) -> None:
        self.took(unit.address.name, unit.job.name, step, entry)

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        self.noted(kind, data)
        if kind == "nemesis":
            self.say(f"{data['step']} launch {data['launch']}: nemesis {data['text']}")
        if kind == "interrupted":
            self.say(
                "interrupted: stopping the hosts, then writing tables and report; again to leave at once"
            )

    def say(self, text: str) -> None:
        if not self.quiet:
            print(f"{self.prefix}{text}", file=self.out, flush=True)

    def turn(self) -> None:
        """Nothing to do between events."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Plain(Progress):
    """A line per launch, and nothing that moves: for logs."""

    def result(self, step: str, entry: Entry, host: HostState) -> None:
        left = in_words(self.remaining(host))
        cell = self.cells.get(step, "")
        named = f"{step} ({cell})" if cell else step
        self.say(f"{named} launch {entry.launch}: {host.rate or entry.data.get('status')}; {left} left")


class LiveTable(Progress):
    """One row per host, redrawn in place."""

    def __init__(self, out: TextIO | None = None, prefix: str = "orch: ") -> None:
        super().__init__(out, prefix)
        self._live: Live | None = None
        self._drawn = 0.0

    def planned(self, plan: Plan, run: str = "") -> None:
        from rich.console import Console
        from rich.live import Live

        super().planned(plan, run)
        self._live = Live(self._table(), console=Console(file=self.out), auto_refresh=False, transient=True)
        self._live.start()

    def say(self, text: str) -> None:
        if self._live is None:
            super().say(text)
        elif not self.quiet:
            self._live.console.print(f"{self.prefix}{text}", markup=False, highlight=False)

    def turn(self) -> None:
        if self._live is not None and time.monotonic() - self._drawn > 0.25:
            self._drawn = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        return table_of(self)


def table_of(board: Board) -> Table:
    """One row per host, those with most left first."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("host", "job", "", "launches", "left", "rate", "health", "bad", "step"):
        table.add_column(name, no_wrap=True)
    shown = sorted(board.hosts.items(), key=lambda x: -board.remaining(x[1]))[:MAX_ROWS]
    for name, host in shown:
        bar = ProgressBar(total=max(host.planned_s, 0.001), completed=host.done_s, width=20)
        left = in_words(board.remaining(host))
        bad = str(host.bad) if host.bad else ""
        health = health_of(host)
        table.add_row(name, host.state, bar, str(host.launches), left, host.rate, health, bad, host.step)
    if len(board.hosts) > len(shown):
        rest = len(board.hosts) - len(shown)
        table.add_row(f"and {rest} more", "", "", "", "", "", "", "", "")
    return table


def health_of(host: HostState) -> str:
    """What was found of its health, else what its last sample says of its load."""
    if host.health or not host.vitals:
        return host.health
    told = [("busy", "cpu_busy"), ("waiting", "psi_cpu_some")]
    return "ok, " + ", ".join(f"{host.vitals[k]:.0f}% {word}" for word, k in told if k in host.vitals)


def progress(json_asked: bool) -> Progress:
    """Live where standard error is a terminal, else plain; with ``--json`` too it goes to standard error."""
    return LiveTable() if sys.stderr.isatty() and not json_asked else Plain()


def in_words(seconds: float) -> str:
    """``1h05m``, ``3m07s``, ``12s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
