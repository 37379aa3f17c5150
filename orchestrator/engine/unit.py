"""What is handed to a seat, and what comes back from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agents.wire import Entry
from orchestrator.model.address import Address
from orchestrator.model.plan import JobPlan, StepPlan


@dataclass(frozen=True)
class Progress:
    """What is already known of a step from an earlier seat: nothing of it is run or sent again."""

    #: entries of the launches that have ended, in order
    entries: tuple[Entry, ...] = ()
    #: the number of the next launch to make (or to go on following)
    launch: int = 0
    #: bytes of that launch's journal that are in the run folder already
    offset: int = 0


@dataclass(frozen=True)
class Unit:
    """One job on one host."""

    run: str
    seed: int
    address: Address
    #: absolute, on the host
    spool: str
    #: path of the agent's zipapp on the host
    agent: str
    #: variant → path of the native program on the host
    programs: dict[str, str]
    job: JobPlan
    steps: tuple[StepPlan, ...]
    progress: dict[str, Progress] = field(default_factory=dict)
    #: the host's wall clock minus the controller's, seconds
    clock_offset_s: float = 0.0
    #: how long a host may be out of reach before it is lost, or have no room for a launch, seconds
    patience_s: float = 30.0
    #: the run is resumed: a launch that was cut short before that is made again
    again: bool = False

    @property
    def key(self) -> str:
        return f"{self.job.name}@{self.address.name}"


@dataclass(frozen=True)
class Lines:
    """Whole journal lines of one launch, byte for byte as on the host."""

    host: str
    step: str
    launch: int
    data: bytes


@dataclass(frozen=True)
class Note:
    """For the controller's journal; kinds as in `results.folder`."""

    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Ready:
    """The next launch waits for those of the job's other hosts."""

    host: str
    step: str
    launch: int


Piece = Lines | Note | Ready
