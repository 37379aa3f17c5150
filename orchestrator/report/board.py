"""How far a run is, host by host: counted from its plan and from the entries of its journals, as they come by or as they are read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.wire import Entry
from orchestrator.model.plan import Plan

#: Start and end of a launch cost about this much besides its measured time (measured over loopback SSH).
OVERHEAD_S = 0.4

#: Of a step, as the controller notes its end.
_ENDS = {
    "step_done": "done",
    "step_failed": "failed",
    "step_stopped": "stopped",
    "step_skipped": "skipped",
    "step_lost": "lost",
    "step_invalid": "invalid",
}
_BAD_ENDS = ("step_failed", "step_lost", "step_invalid")
#: status of a `reach` in words; its reason follows
_REACHED = {
    "away": "out of reach:",
    "back": "within reach again",
    "full": "no room on its disk:",
    "room": "room on its disk again",
}


@dataclass
class HostState:
    """What is known of one host. Times in seconds; ``launch_began`` on this machine's monotonic clock."""

    planned_s: float = 0.0
    done_s: float = 0.0
    launches: int = 0
    step: str = ""
    #: in words, of the last result or interval; ``ops_per_second`` is the same as a number
    rate: str = ""
    ops_per_second: float | None = None
    #: "waiting", its job, or how it ended
    state: str = "waiting"
    #: of the launch that began last
    job: str = ""
    bad: int = 0
    violations: int = 0
    #: of the launch under way
    launch_began: float | None = None
    #: the last sample of the host
    vitals: dict[str, float] = field(default_factory=dict)
    #: (kind of trouble → how often it was told), and the worst of it in words: "" | suspect: … | broken: …
    troubles: dict[str, int] = field(default_factory=dict)
    health: str = ""
    steps: int = 0
    #: step that is over → how it ended
    ends: dict[str, str] = field(default_factory=dict)


class Board:
    """Counts what comes by; how it is shown is left to whoever has it."""

    def __init__(self) -> None:
        self.run = self.playbook = ""
        #: told of every event: {event, run, playbook, text, and what it is about}
        self.listeners: list[Callable[[Mapping[str, Any]], None]] = []
        self.hosts: dict[str, HostState] = {}
        #: step → its matrix cell in words
        self.cells: dict[str, str] = {}
        #: step → seconds of a launch, and how many are in the host's plan (None: as many as fit into its time)
        self._costs: dict[str, tuple[float, int | None]] = {}
        #: step → the plan's own word for it, which is there anyhow
        self._names: dict[str, str] = {}
        #: steps that the plan itself leaves out
        self._never: set[str] = set()
        #: (step, launch) that has told of a violation; steps with a launch that failed
        self._violated: set[tuple[str, int]] = set()
        self._failed: set[str] = set()

    def planned(self, plan: Plan, run: str = "") -> None:
        """``run``: its id."""
        self.run, self.playbook = run, plan.name
        hosts = len(plan.hosts)
        self.tell("run_started", f"{len(plan.steps)} steps on {hosts} host{'s' if hosts != 1 else ''}")
        lengths = {j.name: float(s.argument) for j in plan.jobs for s in j.stops if s.name == "duration"}
        counted: set[tuple[str, str]] = set()
        for step in plan.steps:
            self._names[step.id] = step.id
            self.cells[step.id] = " ".join(f"{k}={v}" for k, v in step.cell.items())
            host = self.hosts.setdefault(step.host, HostState())
            host.steps += 1
            if step.skip or step.lost:
                host.ends[step.id] = "skipped" if step.skip else "lost"
                self._never.add(step.id)
                continue
            cost = step.warmup_s + step.seconds + OVERHEAD_S
            if step.launches.max is None and step.job in lengths:
                self._costs[step.id] = (cost, None)
                host.planned_s += 0.0 if (step.host, step.job) in counted else lengths[step.job]
                counted.add((step.host, step.job))
            else:
                self._costs[step.id] = (cost, step.launches.min)
                host.planned_s += cost * step.launches.min

    def took(self, name: str, job: str, step: str, entry: Entry, at: float | None = None) -> None:
        """One entry of a host's journal. ``at``: when it was written, on this machine's monotonic clock; None: just now."""
        host = self.hosts[name]
        if entry.kind == "started":
            host.launch_began = time.monotonic() if at is None else at
            host.state = host.job = job
            host.step = f"{step} {self.cells.get(step, '')}".rstrip()
        elif entry.kind == "record":
            self._record(name, host, step, entry)
        elif entry.kind == "vital":
            host.vitals = {k: float(v) for k, v in entry.data.items() if isinstance(v, int | float)}
        elif entry.kind == "health":
            self._health(name, host, entry.data)
        elif entry.kind == "ended":
            self._ended(name, host, step, entry)

    def _health(self, name: str, host: HostState, data: Mapping[str, Any]) -> None:
        level, what = str(data.get("level")), str(data.get("what"))
        host.troubles[what] = host.troubles.get(what, 0) + 1
        if not host.health.startswith("broken"):
            host.health = f"{level}: {what}"
        self.happened(f"host_{level}", f"{name}: {level}: {data.get('text')}", host=name, kind=what)

    def _ended(self, name: str, host: HostState, step: str, entry: Entry) -> None:
        cost, planned = self._costs.get(step, (0.0, 1))
        host.launches += 1
        host.launch_began = None
        host.done_s += cost
        if planned is not None and entry.launch + 1 > planned:
            host.planned_s += cost
        how = _bad_end(entry.data)
        if how and (step, entry.launch) not in self._violated:
            host.bad += 1
            self._failed.add(step)
            text = f"{step} launch {entry.launch}: {how}"
            self.happened("launch_failed", text, host=name, step=step, launch=entry.launch)

    def _record(self, name: str, host: HostState, step: str, entry: Entry) -> None:
        data = entry.data
        if data.get("type") == "result":
            self._rated(host, _rate(data))
            self.result(step, entry, host)
        elif data.get("type") == "interval" and data.get("phase") == "measure":
            self._rated(host, _interval_rate(data))
        elif data.get("type") == "violation":
            host.bad += 1
            host.violations += 1
            self._violated.add((step, entry.launch))
            self._failed.add(step)
            text = f"{name} {step}: {data.get('contract')} violated: {data.get('evidence')}"
            self.happened("violation", text, host=name, step=step, launch=entry.launch)

    def _rated(self, host: HostState, value: float | None) -> None:
        host.ops_per_second = value
        host.rate = "" if value is None else si(value) + "ops/s"

    def noted(self, kind: str, data: Mapping[str, Any]) -> None:
        """One entry of the controller's journal."""
        host = self.hosts.get(str(data.get("host", "")))
        end = _ENDS.get(kind)
        if end is not None and host is not None:
            step = str(data.get("step"))
            step = self._names.get(step, step)
            # all its launches were made, which says nothing of how they ended
            host.ends[step] = "failed" if end == "done" and step in self._failed else end
        if kind == "run_started":
            self._again()
        elif kind in _BAD_ENDS:
            if host is not None:
                host.bad += 1
                host.state = str(end)
            about = {k: data[k] for k in ("host", "job", "step") if k in data}
            self.happened(kind, f"{data['step']}: {end}: {data['reason']}", **about)
        elif kind == "stop":
            self.happened("stop", f"job {data['job']}: {data['reason']}", job=data["job"])
        elif kind == "host" and host is not None and data.get("status") in ("lost", "quarantined"):
            host.state = str(data["status"])
            text = f"{data['host']}: {data['status']}: {data['reason']}"
            self.happened(f"host_{data['status']}", text, host=data["host"])
        elif kind == "reach" and host is not None:
            self._reach(host, data)
        elif kind == "node":
            self._node(data)

    def _reach(self, host: HostState, data: Mapping[str, Any]) -> None:
        name, status, reason = data["host"], data["status"], data["reason"]
        host.state = status if status in ("away", "full") else host.job or "waiting"
        self.happened(f"host_{status}", f"{name}: {_REACHED[status]} {reason}", host=name)

    def _node(self, data: Mapping[str, Any]) -> None:
        name, reason = data["host"], data["reason"]
        if data["status"] == "lost" and not name:
            self.happened(
                "node_lost", f"Ray is lost: {reason}; what the hosts do goes on, and another Ray is started"
            )
        elif data["status"] == "lost":
            self.happened("node_lost", f"{name}: its Ray node is lost: {reason}", host=name)
        elif data["status"] == "joined" and reason == "again":
            self.happened("node_joined", f"{name}: its Ray node has joined again", host=name)

    def _again(self) -> None:
        """A session begins: what an earlier one has lost or stopped may come after all."""
        for host in self.hosts.values():
            host.ends = {
                step: end
                for step, end in host.ends.items()
                if step in self._never or end not in ("lost", "stopped", "invalid")
            }

    def result(self, step: str, entry: Entry, host: HostState) -> None:
        """A launch has its result."""

    def happened(self, event: str, text: str, **about: Any) -> None:
        """Said, and told to whoever listens."""
        self.say(text)
        self.tell(event, text, **about)

    def tell(self, event: str, text: str, **about: Any) -> None:
        for listener in self.listeners:
            listener({"event": event, "run": self.run, "playbook": self.playbook, "text": text, **about})

    def say(self, text: str) -> None:
        """Something that a person should read."""

    def remaining(self, host: HostState) -> float:
        """Seconds, from the launches that are still planned."""
        under_way = 0.0 if host.launch_began is None else time.monotonic() - host.launch_began
        return max(0.0, host.planned_s - host.done_s - under_way)

    def left(self) -> float:
        """Seconds until the last host is through."""
        return max((self.remaining(host) for host in self.hosts.values()), default=0.0)

    def counts(self) -> dict[str, int]:
        """How many planned steps there are, and how many ended in which way."""
        ends = [end for host in self.hosts.values() for end in host.ends.values()]
        return {
            "planned": sum(host.steps for host in self.hosts.values()),
            **{name: ends.count(name) for name in _ENDS.values()},
        }


def _rate(result: Mapping[str, Any]) -> float | None:
    for metric in result.get("metrics") or []:
        if isinstance(metric, dict) and metric.get("metric") == "ops_per_second":
            return float(metric["value"])
    return None


def _interval_rate(data: Mapping[str, Any]) -> float | None:
    ops, dt = data.get("ops"), data.get("dt")
    if isinstance(ops, int | float) and isinstance(dt, int | float) and dt > 0:
        return ops / dt
    return None


def _bad_end(ended: Mapping[str, Any]) -> str:
    """How a launch failed, in words; "" where it did not, as far as its end tells."""
    reason = ended.get("reason")
    if reason == "stopped":
        return ""
    if reason != "exited":
        return f"{reason}: {ended['message']}" if ended.get("message") else str(reason)
    if ended.get("signal"):
        return f"killed by signal {ended['signal']}"
    return f"exit status {ended['exit']}" if ended.get("exit") else ""


def si(value: float) -> str:
    """``12.3 M`` for 12.3e6."""
    for bound, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.3g} {letter}"
    return f"{value:.3g} "
