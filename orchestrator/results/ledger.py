"""The journal of one step, each entry exactly once.

A step's file holds the entries of its launches, one launch after the other, as they came from the
host. After a reconnect the same entry may be there twice; after a crash a line may be cut, changed
or missing. Nothing of that is guessed over: what could not be read is a fault of a launch, and a
launch with a fault never counts as passed.

An entry is known by its number and told from another one by its checksum: four bytes each, whatever the journal's length.
"""

from __future__ import annotations

import itertools
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np

from agents.wire import Entry, WireError, parse_entry
from orchestrator.results.course import Course, is_course
from orchestrator.results.folder import JournalFault
from orchestrator.results.lines import Block, Part, read_block

#: Of intervals, and of vital signs, that are kept beside a `Course`: the last words of a launch that went wrong.
LAST_ENTRIES = 50
#: Bytes that are read at once.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Fault:
    """Something that the journal of a step should say and does not. ``launch`` None: of no launch
    that can be told."""

    launch: int | None
    what: str


@dataclass(frozen=True)
class StepLog:
    """The launches of one step: entries in order of their sequence number, each once. Of intervals and vital signs the
    first and the last ones, where they were read into a `Course`."""

    launches: dict[int, list[Entry]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    #: entries that were there more than once with the same content
    repeated: int = 0
    #: what vital signs say of the CPUs' time that others had: how many of them, and their sum, per cent
    steal: tuple[int, float] = (0, 0.0)


class _Known:
    """What was read of one launch."""

    def __init__(self) -> None:
        #: checksums of the entries 0, 1, 2 …, and of those behind a gap by number
        self._whole = array("I")
        self._beyond: dict[int, int] = {}
        self.entries: list[Entry] = []
        #: the first of its intervals or vital signs, where no other entry comes before it
        self.first: Entry | None = None
        self.last: dict[bool, deque[Entry | bytes]] = {k: deque(maxlen=LAST_ENTRIES) for k in (False, True)}
        self.end: int | None = None

    def crc(self, seq: int) -> int | None:
        return self._whole[seq] if 0 <= seq < len(self._whole) else self._beyond.get(seq)

    def remember(self, seq: int, crc: int) -> None:
        if seq != len(self._whole):
            self._beyond[seq] = crc
            return
        self._whole.append(crc)
        while self._beyond and len(self._whole) in self._beyond:
            self._whole.append(self._beyond.pop(len(self._whole)))

    def goes_on_with(self, seqs: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
        at = len(self._whole)
        return not self._beyond and bool(np.array_equal(seqs, np.arange(at, at + len(seqs))))

    def remember_all(self, crcs: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> None:
        self._whole.frombytes(crcs.tobytes())

    def faults(self) -> Iterator[str]:
        expected = len(self._whole)
        for seq in sorted(self._beyond):
            if seq != expected:
                missing = f"{expected}" if seq == expected + 1 else f"{expected} to {seq - 1}"
                yield f"entries missing: {missing}"
            expected = seq + 1
        if self.end is not None and expected > self.end + 1:
            yield "entries after its end"

    def in_order(self) -> list[Entry]:
        kept = [
            e if isinstance(e, Entry) else parse_entry(e.decode())
            for last in self.last.values()
            for e in last
        ]
        kept += [self.first] if self.first is not None else []
        found = {e.seq: e for e in [*kept, *self.entries]}
        return [found[seq] for seq in sorted(found)]


class Ledger:
    """Entries and faults in the order of the file, one by one or by blocks, to a `StepLog`. ``course``: takes intervals and vital
    signs; None: they are let go, or with ``whole`` kept with the other entries."""

    def __init__(self, step: str, course: Course | None = None, *, whole: bool = False) -> None:
        self._step = step
        self._course = course
        self._whole = whole
        self._launches: dict[int, _Known] = {}
        self._faults: list[Fault] = []
        self._unread: list[str] = []
        self._open: int | None = None
        self._repeated = 0

    def take(self, line: Entry | JournalFault, crc: int, raw: bytes | None = None) -> None:
        """A line that could not be read counts against the launch whose entries it stands among; entries that are missing, that
        differ from their first reading, or that follow an `ended` count against their own launch."""
        if isinstance(line, JournalFault):
            text = f"line {line.line} of its journal: {line.what}"
            if self._open is None:
                self._unread.append(text)
            else:
                self._faults.append(Fault(self._open, text))
            return
        self._faults.extend(Fault(line.launch, text) for text in self._unread)
        self._unread = []
        known = self._launches.setdefault(line.launch, _Known())
        before = known.crc(line.seq)
        if before is not None:
            self._repeated += 1
            if before != crc:
                self._faults.append(Fault(line.launch, f"two different entries with number {line.seq}"))
        else:
            known.remember(line.seq, crc)
            self._keep(known, line, raw)
        if line.kind == "started" and line.data.get("step", self._step) != self._step:
            self._faults.append(Fault(line.launch, f"an entry of step {line.data['step']!r}"))
        self._open = None if line.kind == "ended" else line.launch

    def _keep(self, known: _Known, entry: Entry, raw: bytes | None) -> None:
        if entry.kind == "ended":
            known.end = entry.seq if known.end is None else min(known.end, entry.seq)
        if self._whole or not is_course(entry):
            known.entries.append(entry)
            return
        if known.first is None or entry.seq < known.first.seq:
            known.first = entry
        known.last[entry.kind == "vital"].append(raw or entry)
        if self._course is not None:
            self._course.take(entry)

    def take_block(self, block: Block) -> bool:
        """False, and nothing is taken, where it does not simply go on."""
        changes = np.flatnonzero(np.diff(block.launch)) + 1
        bounds = [0, *changes.tolist(), len(block.lines)]
        runs = [(int(block.launch[a]), a, b) for a, b in itertools.pairwise(bounds)]
        if self._unread or len({launch for launch, _, _ in runs}) != len(runs):
            return False
        if not all(self._launches.get(n, _Known()).goes_on_with(block.seq[a:b]) for n, a, b in runs):
            return False
        for launch, a, b in runs:
            known = self._launches.setdefault(launch, _Known())
            known.remember_all(block.crc[a:b])
            for part in (block.intervals, block.vitals):
                if part is not None:
                    self._keep_part(known, block, part, launch)
        for _, entry in block.light:
            self._keep(self._launches[entry.launch], entry, None)
            if entry.kind == "started" and entry.data.get("step", self._step) != self._step:
                self._faults.append(Fault(entry.launch, f"an entry of step {entry.data['step']!r}"))
        last = block.light[-1] if block.light else None
        over = last is not None and last[0] == len(block.lines) - 1 and last[1].kind == "ended"
        self._open = None if over else int(block.launch[-1])
        return True

    def _keep_part(self, known: _Known, block: Block, part: Part, launch: int) -> None:
        at = part.at[part.launch == launch]
        if not len(at):
            return
        first = parse_entry(block.lines[at[0]].decode())
        if known.first is None or first.seq < known.first.seq:
            known.first = first
        known.last[part is block.vitals].extend(block.lines[i] for i in at[-LAST_ENTRIES:])
        if self._course is not None:
            self._course.take_part(part, part is block.intervals, launch)

    def done(self) -> StepLog:
        faults = [*self._faults, *(Fault(None, text) for text in self._unread)]
        launches = {n: known.in_order() for n, known in sorted(self._launches.items())}
        for number, known in sorted(self._launches.items()):
            faults.extend(Fault(number, what) for what in known.faults())
        return StepLog(launches, faults, self._repeated, self._course.steal() if self._course else (0, 0.0))


def ingest(lines: Iterable[Entry | JournalFault], step: str) -> StepLog:
    """All entries, each once."""
    ledger = Ledger(step, whole=True)
    for line in lines:
        crc = 0 if isinstance(line, JournalFault) else crc32(repr(line).encode())
        ledger.take(line, crc)
    return ledger.done()


def read_step(path: Path, step: str, course: Course | None = None) -> StepLog:
    """The journal of one step. Raises OSError where it cannot be read."""
    ledger = Ledger(step, course)
    number = 0
    for data in _pieces(path):
        lines = data.split(b"\n")
        # what comes after the last newline was being written
        cut = lines.pop()
        block = read_block(data, lines)
        if block is None or not ledger.take_block(block):
            for n, raw in enumerate(lines, start=number + 1):
                _take_line(ledger, path, n, raw)
        number += len(lines)
        if cut:
            ledger.take(JournalFault(path, number + 1, "cut in the middle of a line"), 0)
    return ledger.done()


def _take_line(ledger: Ledger, path: Path, number: int, raw: bytes) -> None:
    try:
        entry = parse_entry(raw.decode())
    except (WireError, UnicodeDecodeError) as e:
        ledger.take(JournalFault(path, number, str(e)), 0)
    else:
        ledger.take(entry, int(raw[-10:-2], 16), raw)


def _pieces(path: Path) -> Iterator[bytes]:
    """Whole lines, some megabytes of them at a time; at the end of the file maybe a line that was cut."""
    with path.open("rb") as f:
        rest = b""
        while piece := f.read(_PIECE):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if newline:
                yield whole + newline
        if rest:
            yield rest
