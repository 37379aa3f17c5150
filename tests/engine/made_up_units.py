"""Steps, jobs and journal lines for the tests of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.wire import Entry, entry_line
from orchestrator.model.plan import JobPlan, Launches, StepPlan, StopSpec


def step(job: str, host: str, number: int = 0, **over: Any) -> StepPlan:
    given: dict[str, Any] = {
        "id": f"{job}-{number:04d}@{host}",
        "host": host,
        "job": job,
        "cell": {},
        "workload": "command",
        "settings": {},
        "bench": "",
        "variant": "release",
        "threads": 1,
        "placement": "none",
        "cpus": [],
        "mem": "local",
        "warmup_s": 0.0,
        "seconds": 1.0,
        "interval_s": 1.0,
        "seed": 1,
        "launches": Launches(),
    }
    return StepPlan(**{**given, **over})


def job(name: str, needs: Sequence[str] = (), stops: Sequence[StopSpec] = ()) -> JobPlan:
    return JobPlan(name, "command", list(needs), list(stops), [], 10.0)


def line(launch: int, seq: int, kind: str, **data: Any) -> bytes:
    return entry_line(Entry(seq, launch, 100.0 + seq, 1.0 + seq, kind, data)).encode()
