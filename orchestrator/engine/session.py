"""One run: what was asked, what was built and found for it, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.engine.survey import Survey
from orchestrator.engine.watch import Observer
from orchestrator.results.folder import RunFolder
from orchestrator.transport import Opener

if TYPE_CHECKING:
    from orchestrator.bundle.manifest import Bench, Bundle
    from orchestrator.model.address import Address
    from orchestrator.model.plan import Plan


class RunObserver(Observer, Protocol):
    """What a run tells whoever watches it, besides what `engine.watch` tells."""

    def stage(self, text: str) -> None:
        """A part of the run begins."""

    def planned(self, plan: Plan, run: str) -> None:
        """The plan is on disk, in the folder of the run with this id."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    #: a file, or the text of a playbook made elsewhere (an ad-hoc workload)
    playbook: Path | str
    inventory: Path | None = None
    limit: str | None = None
    sets: Mapping[str, str] = field(default_factory=dict)
    runs: Path = Path("runs")
    argv: Sequence[str] = ()
    forks: int = 32
    #: seconds that a host may be out of reach before it is lost
    patience_s: float = 30.0
    #: the rest of an earlier run: what was cut short then is made again
    again: bool = False


@dataclass(frozen=True)
class Built:
    """``broken``: variant → why it cannot be had; its steps fail, the others go on."""

    agent: Path
    bundle: Bundle | None
    benches: list[Bench]
    broken: dict[str, str]


@dataclass(frozen=True)
class Session:
    """One sitting of a run, in a folder that its caller holds: a resumed run has another."""

    folder: RunFolder
    hosts: Mapping[str, Address]
    found: Survey
    built: Built
    request: Request
    observer: RunObserver
    interrupted: Callable[[], bool]
    opener: Opener
