"""A run folder as it grows: what was written into its journals since it was last looked at. Takes nothing from whoever writes them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from agents.wire import Entry, WireError, parse_entry
from orchestrator.model.plan import Plan, StepPlan
from orchestrator.results.folder import RunFolder

#: Bytes that are read at once from one journal.
_PIECE = 1 << 20


class _Growing:
    """Whole lines of one file, from where the last reading ended. A line that cannot be read is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def entries(self) -> Iterator[Entry]:
        try:
            if os.stat(self.path).st_size <= self.offset:  # noqa: PTH116 - thousands of files, several times a second
                return
            with self.path.open("rb") as f:
                f.seek(self.offset)
                rest = b""
                while piece := f.read(_PIECE):
                    whole, newline, rest = (rest + piece).rpartition(b"\n")
                    self.offset += len(whole) + len(newline)
                    yield from _read(whole)
        except FileNotFoundError:
            return


def _read(lines: bytes) -> Iterator[Entry]:
    for line in lines.splitlines():
        try:
            yield parse_entry(line.decode())
        except (WireError, UnicodeDecodeError):
            continue


class Tail:
    """All journals of one run."""

    def __init__(self, folder: RunFolder, plan: Plan) -> None:
        self._folder = folder
        self._controller = _Growing(folder.controller_journal)
        planned = [s for s in plan.steps if not s.skip and not s.lost]
        self._steps = [(step, _Growing(folder.journal(step.host, step.id))) for step in planned]

    def read(self) -> Iterator[tuple[StepPlan | None, Entry]]:
        """What is new, None as step for the controller's: its words on a step come after what the step's host wrote."""
        said = list(self._controller.entries())
        for step, journal in self._steps:
            for entry in journal.entries():
                yield step, entry
        for entry in said:
            yield None, entry


def is_driven(folder: RunFolder) -> bool:
    """Whether somebody is at the run just now. Raises OSError where the folder is gone."""
    with folder.plan.open() as f:
        try:
            fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
