"""Were the settings of the hosts put back? Nothing is said of a run that changed none."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.analysis.parameters import Parameters, Shape
from orchestrator.analysis.tables import Tables
from orchestrator.model.finding import Evidence, Finding, Verdict
from orchestrator.model.plan import JobPlan, Plan

SHAPE: Shape = {}


def analyse(tables: Tables, plan: Plan, job: JobPlan | None, _: Parameters) -> list[Finding]:
    """One finding per host, of the run and of no job. `violated`: the host says that it could not; `unknown`: nobody has heard that
    it did."""
    if job is not None:
        return []
    events = tables["events"]
    said = events[(events["source"] == "controller") & events["kind"].isin(["lease", "tuned"])]
    hosts: dict[str, _Host] = {}
    for host, kind, seq, data in zip(said["host"], said["kind"], said["seq"], said["data"], strict=True):
        hosts.setdefault(str(host), _Host()).take(str(kind), int(seq), json.loads(data))
    findings = [hosts[name].finding(name) for name in plan.hosts if name in hosts]
    return [f for f in findings if f is not None]


class _Host:
    """What the controller wrote down of one host, in its order."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._left: dict[str, str] = {}
        self._heard = True
        self._seq = 0

    def take(self, kind: str, seq: int, data: dict[str, Any]) -> None:
        self._seq = seq
        if kind == "tuned":
            settings = data.get("settings", {})
            self._changed |= {name for name, told in settings.items() if told["before"] != told["after"]}
            self._heard = not self._changed
            return
        earlier = data.get("put_in_order") or {}
        self._left.update(earlier.get("not_restored", {}))
        if "not_restored" in data:
            self._heard = data["status"] != "left"
            self._left = {} if self._heard else self._left
            self._left.update(data["not_restored"])
        for name in data.get("restored", ()):
            self._left.pop(name, None)
            self._changed.add(name)

    def finding(self, host: str) -> Finding | None:
        if not self._left and not self._changed:
            return None
        count = len(self._left)
        if self._left and self._heard:
            verdict, said = Verdict.VIOLATED, f"{host}: NOT RESTORED: {_listed(self._left)}"
        elif not self._heard:
            names = ", ".join(sorted(self._changed | set(self._left)))
            verdict, said = Verdict.UNKNOWN, f"{host}: not known to be put back: {names}"
            count = len(self._changed | set(self._left))
        else:
            verdict, said = Verdict.HOLDS, f"{host}: {', '.join(sorted(self._changed))} put back"
        evidence = [] if verdict is Verdict.HOLDS else [Evidence(host=host, seq=self._seq, text=said)]
        return Finding("restored", host, verdict, said, float(count), 0.0, "settings", evidence=evidence)


def _listed(left: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in sorted(left.items()))
