"""What a workload is, and what it declares about each of its settings; and what one is whose program knows nothing of us."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Protocol, Tuple

from agents.wire import Order

#: For ``python3 -c``: the adapter of this package, from the archive (or folder) that the first argument names.
_ADAPT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from agents.adapter import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Setting:
    """One declared setting. ``type``: str | int | float | bool | list | map (name → value) |
    names (one string, or a list of them). ``check`` raises BadSetting over a value of that type."""

    type: str
    help: str
    default: Any = None
    required: bool = False
    choices: Tuple[str, ...] = ()
    check: Optional[Callable[[Any], None]] = None


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


# ---- programs that know nothing of us


@dataclass
class Tool:
    """A program of others when it has ended. ``seconds`` that it took; ``status`` as `subprocess` gives it, below 0 for a signal."""

    status: int
    seconds: float
    #: it was told to end before its time
    stopped: bool = False
    #: it went on after its time until it was killed
    outlived: bool = False
    #: the last lines that it printed, on either stream
    last: List[str] = field(default_factory=list)


class Translator(Protocol):
    """Makes records of the harness protocol of what one run of a program prints and leaves in its folder."""

    #: that the program checks, and that `hear` or `end` report violations of
    contracts: List[str]

    def hear(self, text: str, t: float) -> List[Dict[str, Any]]:
        """The records that a line gives, ``t`` seconds after the start."""

    def end(self, tool: Tool) -> List[Dict[str, Any]]:
        """The last records; the `result` is the last of them."""


class Adapted(Protocol):
    """A module of this package that is in ADAPTED."""

    #: Debian's package of the program, "" where it may be any
    PACKAGE: str
    #: After its time a program has this long to end before all of it is killed; None: its limits alone end it.
    PATIENCE_S: Optional[float]

    def translator(self, order: Order) -> Translator:
        """For one launch."""


def adapted(order: Order, line: List[str]) -> List[str]:
    """The command line under which ``line`` is run and translated; it finds its order in the folder of the launch."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100,PTH120 - in an archive
    return [sys.executable or "python3", "-I", "-S", "-c", _ADAPT, root, order.workload, *line]


def result(
    status: str, seconds: float, ops: float, metrics: "List[Tuple[str, float, str]]", **more: Any
) -> Dict[str, Any]:
    """A `result` record. ``metrics``: (name, value, unit)."""
    named = [{"metric": m, "value": v, "unit": u} for m, v, u in metrics]
    return {
        "type": "result",
        "status": status,
        "seconds": round(seconds, 6),
        "ops": ops,
        "violations": 0,
        "metrics": named,
        **more,
    }


def went_wrong(tool: Tool, expected: Tuple[int, ...] = (0,), said: str = "") -> Optional[str]:
    """Why its results do not count, in words; None where it ended as it should, or was told to. ``said``: its own reason,
    where it is not the last line."""
    if tool.outlived:
        return "went on after its time and was killed"
    if tool.stopped or tool.status in expected:
        return None
    said = said or next((x.strip() for x in reversed(tool.last) if x.strip()), "")
    return "ended with exit status %d%s" % (tool.status, ": " + said[:300] if said else "")
