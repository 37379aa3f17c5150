"""What a stop condition is, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agents.wire import Entry
from orchestrator.model.outcome import Status


@dataclass(frozen=True)
class Decision:
    """``verdict``: what the unfinished steps of the job become. ``passed`` is a normal end, ``stopped``
    an early one."""

    reason: str
    verdict: Literal[Status.PASSED, Status.STOPPED]


class Stop(Protocol):
    """One condition of one job."""

    #: ``host``: one instance per host, ends the job there. ``job``: one for all hosts, ends it everywhere
    scope: Literal["host", "job"]

    def __init__(self, argument: Any) -> None:
        """``argument`` as made plain by `argument`."""

    @staticmethod
    def argument(value: Any) -> Any:
        """The argument as it stands in the playbook → a plain JSON value. Raises ValueError."""

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        """The next entry of a host's journal. A decision is given once."""
