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

    def __init__(self, argument: Any, hosts: int = 1) -> None:
        """``argument`` as made plain by `argument`; ``hosts``: on which the job was planned."""

    @staticmethod
    def argument(value: Any) -> Any:
        """The argument as it stands in the playbook → a plain JSON value, from which the playbook of the run folder is written: a float
        is seconds, anything else must be read as itself. Raises ValueError."""

    def feed(self, entry: Entry, *, host: str, step: str) -> Decision | None:
        """The next entry of a host's journal; of scope ``job`` also what the controller notes of a host (`host`) or a launch
        (`launch_lost`). A decision is given once."""
