"""The whole run as one tuple of functions, each taking what the one before it gave. Usable without the CLI.

    read → build → survey → plan → ship → drive → compute

Once the plan is on disk only an unwritable run folder stops it; whatever happens to a host, a build or an
analysis becomes data.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.engine.seats import RaySeats
from orchestrator.engine.unit import Unit
from orchestrator.engine.watch import Observer, Watch
from orchestrator.errors import BuildError, SetupError
from orchestrator.fleet.cluster import embedded
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.results.folder import RunFolder

if TYPE_CHECKING:
    from agents.wire import Facts
    from orchestrator.bundle.manifest import Bundle
    from orchestrator.model.address import Address
    from orchestrator.model.playbook import Playbook
    from orchestrator.results.rebuild import Rebuilt

_LOG = logging.getLogger(__name__)


class RunObserver(Observer):
    """What a run tells whoever watches it, besides what `engine.watch` tells."""

    def stage(self, text: str) -> None:
        """A part of the run begins."""

    def planned(self, plan: Plan) -> None:
        """The plan is on disk."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    #: file of the playbook, or its text made elsewhere (an ad-hoc workload)
    playbook: Path | str
    inventory: Path | None = None
    limit: str | None = None
    sets: Mapping[str, str] = field(default_factory=dict)
    runs: Path = Path("runs")
    argv: Sequence[str] = ()
    forks: int = 32
    patience_s: float = 30.0
