"""Progress of a run on standard error: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from agents.wire import Entry
    from orchestrator.engine.unit import Unit
    from orchestrator.model.plan import Plan

#: Start and end of a launch cost about this much besides its measured time (measured over loopback SSH).
OVERHEAD_S = 0.4
MAX_ROWS = 16


@dataclass
class _HostState:
    planned_s: float = 0.0
    done_s: float = 0.0
    launches: int = 0
    step: str = ""
    rate: str = ""
    state: str = "waiting"
    bad: int = 0
    #: of the launch under way, on this machine's monotonic clock
    launch_began: float | None = None


class Progress:
    """Counts what comes by; how it is shown is left to the subclasses."""

    def __init__(self) -> None:
        self.hosts: dict[str, _HostState] = {}
        #: step → its matrix cell in words
        self._cells: dict[str, str] = {}
        #: step → seconds of a launch, and how many are in the host's plan (None: as many as fit into its time)
        self._costs: dict[str, tuple[float, int | None]] = {}

    def stage(self, text: str) -> None:
        """Before the hosts work: what is being done."""
        print(f"orch: {text}", file=sys.stderr, flush=True)

    def planned(self, plan: Plan) -> None:
        lengths = {j.name: float(s.argument) for j in plan.jobs for s in j.stops if s.name == "duration"}
        counted: set[tuple[str, str]] = set()
        for step in plan.steps:
            self._cells[step.id] = " ".join(f"{k}={v}" for k, v in step.cell.items())
            host = self.hosts.setdefault(step.host, _HostState())
            if step.skip or step.lost:
                continue
            cost = step.warmup_s + step.seconds + OVERHEAD_S
            if step.launches.max is None and step.job in lengths:
                self._costs[step.id] = (cost, None)
                host.planned_s += 0.0 if (step.host, step.job) in counted else lengths[step.job]
                counted.add((step.host, step.job))
            else:
                self._costs[step.id] = (cost, step.launches.min)
                host.planned_s += cost * step.launches.min

    def began(self, unit: Unit) -> None:
        self.hosts[unit.address.name].state = unit.job.name

    def entry(self, unit: Unit, step: str, entry: Entry) -> None:
        host = self.hosts[unit.address.name]
        if entry.kind == "started":
            host.launch_began = time.monotonic()
            host.step = f"{step} {self._cells.get(step, '')}".rstrip()
        elif entry.kind == "record":
            self._record(host, unit, step, entry)
        elif entry.kind == "ended":
            cost, planned = self._costs.get(step, (0.0, 1))
            host.launches += 1
            host.launch_began = None
            host.done_s += cost
            if planned is not None and entry.launch + 1 > planned:
                host.planned_s += cost

    def _record(self, host: _HostState, unit: Unit, step: str, entry: Entry) -> None:
        data = entry.data
        if data.get("type") == "result":
            host.rate = _rate(data)
            self.result(step, entry, host)
        elif data.get("type") == "violation":
            host.bad += 1
            self.say(f"{unit.address.name} {step}: {data.get('contract')} violated: {data.get('evidence')}")

    def result(self, step: str, entry: Entry, host: _HostState) -> None:
        """A launch has its result."""

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        host = self.hosts.get(str(data.get("host", "")))
        if kind in ("step_lost", "step_failed"):
            if host is not None:
                host.bad += 1
                host.state = kind.removeprefix("step_")
            self.say(f"{data['step']}: {kind.removeprefix('step_')}: {data['reason']}")
        elif kind == "stop":
            self.say(f"job {data['job']}: {data['reason']}")
        elif kind == "interrupted":
            self.say(
                "interrupted: stopping the hosts, then writing tables and report; again to leave at once"
            )

    def say(self, text: str) -> None:
        print(f"orch: {text}", file=sys.stderr, flush=True)

    def turn(self) -> None:
        """Nothing to do between events."""

    def close(self) -> None:
        """Leave the terminal as it was."""

    def remaining(self, host: _HostState) -> float:
        """Seconds, from the launches that are still planned."""
        under_way = 0.0 if host.launch_began is None else time.monotonic() - host.launch_began
        return max(0.0, host.planned_s - host.done_s - under_way)


class Plain(Progress):
    """A line per launch, and nothing that moves: for logs."""

    def result(self, step: str, entry: Entry, host: _HostState) -> None:
        left = _duration(self.remaining(host))
        cell = self._cells.get(step, "")
        named = f"{step} ({cell})" if cell else step
        self.say(f"{named} launch {entry.launch}: {host.rate or entry.data.get('status')}; {left} left")


class LiveTable(Progress):
    """One row per host, redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None
        self._drawn = 0.0

    def planned(self, plan: Plan) -> None:
        from rich.console import Console
        from rich.live import Live

        super().planned(plan)
        self._live = Live(self._table(), console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()

    def say(self, text: str) -> None:
        if self._live is None:
            super().say(text)
        else:
            self._live.console.print(f"orch: {text}", markup=False, highlight=False)

    def turn(self) -> None:
        if self._live is not None and time.monotonic() - self._drawn > 0.25:
            self._drawn = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name in ("host", "job", "", "launches", "left", "last result", "bad", "step"):
            table.add_column(name, no_wrap=True)
        shown = sorted(self.hosts.items(), key=lambda x: -self.remaining(x[1]))[:MAX_ROWS]
        for name, host in shown:
            bar = ProgressBar(total=max(host.planned_s, 0.001), completed=host.done_s, width=20)
            left = _duration(self.remaining(host))
            bad = str(host.bad) if host.bad else ""
            table.add_row(name, host.state, bar, str(host.launches), left, host.rate, bad, host.step)
        if len(self.hosts) > len(shown):
            rest = len(self.hosts) - len(shown)
            table.add_row(f"and {rest} more", "", "", "", "", "", "", "")
        return table


def progress(json_asked: bool) -> Progress:
    """Live where standard error is a terminal, else plain; with ``--json`` too it goes to standard error."""
    return LiveTable() if sys.stderr.isatty() and not json_asked else Plain()


def _rate(result: Mapping[str, Any]) -> str:
    for metric in result.get("metrics") or []:
        if isinstance(metric, dict) and metric.get("metric") == "ops_per_second":
            return si(float(metric["value"])) + "ops/s"
    return ""


def si(value: float) -> str:
    """``12.3 M`` for 12.3e6."""
    for bound, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.3g} {letter}"
    return f"{value:.3g} "


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
