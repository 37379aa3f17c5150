"""The names that a playbook may use. Tables live on floors above the model; whoever reads a playbook
hands over what is in them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.workloads import TABLE as WORKLOADS
from agents.workloads import Workload
from orchestrator.model.plan import JudgeSpec

VARIANTS = ("release", "noise", "poison", "asan", "tsan", "peers", "explore")
EXPORTS = ("parquet", "csv", "json", "junit")
PLACEMENTS = ("compact", "scatter", "remote", "smt", "node:K", "nodes:N", "cpus:LIST", "none")
MEMORIES = ("local", "interleave", "node:K")

#: Names that the language has and this version does not: refused as such, never ignored.
LATER = frozenset(
    (
        *("gates", "include"),
        "numa",
        *("html", "openmetrics"),
    )
)


class BenchSetting(Protocol):
    """One setting of a bench, as `orch-harness list --json` describes it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str:
        """int | float | bool | choice"""

    @property
    def min(self) -> float | None: ...
    @property
    def max(self) -> float | None: ...
    @property
    def choices(self) -> Sequence[str] | None: ...


@dataclass(frozen=True)
class Names:
    """``stops``: name → what makes its argument plain, raising ValueError (perhaps with a ``hint``).
    ``check_judge``: what is wrong with a judge of a known name, in words.
    ``benches``: bench → settings (None: any may be right); None where no bundle could be asked."""

    stops: Mapping[str, Callable[[Any], Any]]
    judges: Collection[str]
    check_judge: Callable[[JudgeSpec], Sequence[str]] = lambda _spec: ()
    workloads: Mapping[str, Workload] = field(default_factory=lambda: WORKLOADS)
    benches: Mapping[str, Sequence[BenchSetting] | None] | None = None
    #: gives subject → scenarios of the explorer, a file in the place of those in it where it does not compile; None where it cannot be built; asked only where a job looks for races
    scenarios: Callable[[], Mapping[str, Sequence[str]] | None] = lambda: None


def unknown(what: str, name: Any, known: Iterable[str]) -> tuple[str, str]:
    """(what, hint) of an error about a name that is not in a table."""
    names = list(known)
    if name in LATER:
        return f"{what} {name!r} is not supported yet", ""
    return f"unknown {what} {name!r}", nearest(name, names)


def nearest(name: Any, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return ""
    return "there are " + ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
