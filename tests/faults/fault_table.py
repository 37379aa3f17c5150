"""The rows of the fault matrix: what befell whom when, what came of it, and what of the journals was lost or is there twice."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agents import segments
from agents.wire import WireError, parse_entry


@dataclass(frozen=True)
class Row:
    """One cell: ``fault`` at the ``moment``. ``outcome``: how its step ended; ``expected`` what it must begin with."""

    fault: str
    moment: str
    expected: str
    outcome: str
    #: seconds from the fault to the word about it, None where it needed none
    after_s: float | None
    #: entries that the host has on its disk and the run folder has not
    lost: int
    twice: int
    #: processes
    left: int
    code: int
    code_expected: int
    #: settings of the kernel; None where nothing was set
    restored: bool | None = None
    #: entries that wait on a host which was out of reach when the run ended, for whoever resumes it
    there: int = 0

    def wrong(self) -> list[str]:
        """What is not as it must be."""
        found = []
        if not self.outcome.startswith(self.expected):
            found.append(f"expected {self.expected}")
        if self.code != self.code_expected:
            found.append(f"exit code {self.code}, expected {self.code_expected}")
        counts = {"lost": self.lost, "twice": self.twice, "left": self.left}
        found += [f"{name}: {n}" for name, n in counts.items() if n]
        if self.restored is False:
            found.append("not restored")
        return found


def table(rows: Iterable[Row]) -> str:
    """For people: one line a cell."""
    head = ("fault", "moment", "after", "there", "lost", "twice", "left", "restored", "exit", "outcome")
    lines = [head]
    for r in rows:
        after = "–" if r.after_s is None else f"{r.after_s:.1f} s"
        restored = {None: "–", True: "yes", False: "NO"}[r.restored]
        cells = (after, str(r.there), str(r.lost), str(r.twice), str(r.left), restored, str(r.code))
        bad = "; ".join(r.wrong())
        lines.append((r.fault, r.moment, *cells, r.outcome[:70] + (f"  WRONG: {bad}" if bad else "")))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


@dataclass(frozen=True)
class Account:
    """Entries of one step: on the host and not in the run folder; in the run folder more than once."""

    lost: int = 0
    twice: int = 0


def account(run: Path, spool: Path, host: str, step: str) -> Account:
    """Whatever the host has on its disk that can be read must be in the run folder, byte for byte and once."""
    copied = Counter(whole(run / "journal" / host / f"{step}.ndjson"))
    there: list[bytes] = []
    for journal in sorted((spool / "runs" / run.name / step).glob("*/journal.ndjson")):
        pieces = [segments.unpacked(piece) for piece in segments.closed(journal)]
        lines = [line for piece in pieces for line in piece.splitlines(keepends=True)]
        there += [line for line in [*lines, *whole(journal)] if is_entry(line)]
    return Account(
        lost=sum(1 for line in there if line not in copied),
        twice=sum(n - 1 for line, n in copied.items() if n > 1),
    )


def whole(path: Path) -> list[bytes]:
    """The whole lines of a file; none where there is no file."""
    if not path.is_file():
        return []
    return [x for x in path.read_bytes().splitlines(keepends=True) if x.endswith(b"\n")]


def is_entry(line: bytes) -> bool:
    try:
        parse_entry(line.decode())
    except (WireError, UnicodeDecodeError):
        return False
    return True


@dataclass
class Told:
    """When the controller said what, of its journal."""

    notes: list[tuple[float, str, str]] = field(default_factory=list)

    @staticmethod
    def of(run: Path) -> Told:
        lines = [json.loads(x) for x in whole(run / "journal" / "controller.ndjson")]
        return Told([(e["t"], e["kind"], str(e["data"].get("step", ""))) for e in lines])

    def after(self, moment: float, step: str) -> float | None:
        """Seconds from ``moment`` to the first word about the step."""
        return next((t - moment for t, kind, of in self.notes if of == step and t > moment), None)


def running(mark: str) -> set[int]:
    """Processes in whose environment ``mark`` stands."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if mark.encode() in environment and state not in "ZX":
                found.add(int(folder.name))
    return found
