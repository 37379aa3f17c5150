"""How a planned step ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Of a step. Each planned cell ends as exactly one of these, with a reason."""

    PASSED = "passed"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"
    #: its host was broken meanwhile: that says nothing of what was to run there
    INVALID = "invalid"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """``started`` and ``ended`` are the host's wall clock, seconds since the epoch; None where it
    never started."""

    step: str
    host: str
    job: str
    status: Status
    reason: str
    #: launches that ended with a result and no failure / all that were started
    launches_ok: int = 0
    launches: int = 0
    started: float | None = None
    ended: float | None = None
