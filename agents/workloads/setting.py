"""What a workload is, and what it declares about each of its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Protocol, Tuple

from agents.wire import Order


@dataclass(frozen=True)
class Setting:
    """One declared setting. ``type``: str | int | float | bool | list (of strings) |
    names (one string, or a list of them)."""

    type: str
    help: str
    default: Any = None
    required: bool = False
    choices: Tuple[str, ...] = ()


class BadSetting(ValueError):
    """A setting of the order that the workload cannot take; ``str`` says which and why."""


class Workload(Protocol):
    """A module of this package that is in TABLE."""

    SUMMARY: str
    SETTINGS: Dict[str, Setting]
    #: settings that are not declared are passed on instead of refused
    FREE_SETTINGS: bool
    #: every line on standard output should be a record; others count as garbage
    EXPECTS_RECORDS: bool
    #: the order names a native program
    NEEDS_PROGRAM: bool

    def argv(self, order: Order) -> List[str]:
        """The command line on the host. Raises BadSetting."""
