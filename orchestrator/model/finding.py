"""What an analysis says, and how the worst of it becomes the verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    HOLDS = "holds"
    UNKNOWN = "unknown"
    VIOLATED = "violated"


_ORDER = {Verdict.HOLDS: 0, Verdict.UNKNOWN: 1, Verdict.VIOLATED: 2}


@dataclass(frozen=True)
class Evidence:
    """The way back from a finding to what was recorded."""

    host: str = ""
    job: str = ""
    step: str = ""
    launch: int | None = None
    #: sequence number of the journal entry
    seq: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Finding:
    """``value`` against ``bound`` in ``unit``; ``summary`` is one sentence for a person."""

    analysis: str
    subject: str
    verdict: Verdict
    summary: str
    value: float | None = None
    bound: float | None = None
    unit: str = ""
    #: interval around ``value``, None where there is none
    low: float | None = None
    high: float | None = None
    evidence: list[Evidence] = field(default_factory=list)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """holds < unknown < violated; holds where there are none."""
    return max(verdicts, key=_ORDER.__getitem__, default=Verdict.HOLDS)
