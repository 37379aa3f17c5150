"""What a workload prints: read as it comes, told apart, and written into the journal as far as there is room for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
from typing import Any, Callable, Dict, List

from agents.journal import Writer
from agents.lines import Line, Splitter, record_of

_READ_BYTES = 1 << 18
#: Lines that are no records, per stream, that the journal keeps: the whole of any report, and no flood.
_KEPT_LINES = 2000
#: So that a workload that prints while it measures does not wait for us. The most that is allowed
#: without privilege.
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031

#: Records whose results say the same in short: they are left out first where the journal gets too large.
_FIRST_TO_GO = frozenset({"interval"})
#: Their share of a journal's room; the rest is for what cannot be had again.
_SHARE = 0.5
#: Records after which the journal goes to the disk at once.
_AT_ONCE = frozenset({"result", "violation"})


class Stream:
    """Standard output or error of the workload."""

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd
        self.splitter = Splitter()
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, _F_SETPIPE_SZ, PIPE_BYTES)


class Output:
    """Of one workload. ``most_bytes``: what it may print, and what its journal may take."""

    def __init__(
        self,
        journal: Writer,
        selector: selectors.BaseSelector,
        expects_records: bool,
        most_bytes: int,
        note: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._selector = selector
        self._expects_records = expects_records
        self._most = most_bytes
        self._note = note
        self.streams: List[Stream] = []
        self.records = self.garbage = self.truncated = 0
        #: intervals and vital signs that the journal has no room for
        self.left_out = 0
        #: stream → lines that are no records
        self._other_lines: Dict[str, int] = {}
        self.read_bytes = 0
        #: of those, what was left out
        self._left_out_bytes = 0
        #: it printed more than its limit: nothing more is kept
        self.flooded = False
        #: something was written that must not be lost
        self.is_urgent = False
        #: it told of a violation
        self.violated = False
        #: its result says that it could not do its work
        self.failed = False

    def attach(self, name: str, fd: int) -> None:
        """``fd`` is closed when it ends, and registered until then with its `Stream` as data."""
        stream = Stream(name, fd)
        self.streams.append(stream)
        self._selector.register(stream.fd, selectors.EVENT_READ, stream)

    def read(self, stream: Stream) -> None:
        """What is there, at most one reading of it."""
        try:
            data = os.read(stream.fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._close(stream)
            return
        before = self.read_bytes
        if not self.flooded:
            # what one reading brings beyond the limit costs none of the lines before it
            for line in stream.splitter.feed(data):
                self._take(stream.name, line)
                self.read_bytes += len(line.raw) + 1
                if self._is_flood():
                    break
        self.read_bytes = before + len(data)  # once flooded: read so that it can end, and thrown away
        self._is_flood()

    def drain(self) -> None:
        """What still lies in the pipes: no more than they hold, or somebody is left who fills them. Not bounded by time, for
        on a busy machine it takes any time, and what is lost may be the result."""
        for stream in list(self.streams):
            most = self.read_bytes + 2 * PIPE_BYTES
            while stream in self.streams and self.read_bytes < most:
                before = self.read_bytes
                self.read(stream)
                if self.read_bytes == before:
                    break
            if stream in self.streams:
                self._close(stream)

    def vital(self, values: Dict[str, Any]) -> None:
        """One sampling, where there is room for it."""
        if not self._is_crowded():
            self._journal.add("vital", values)

    def _close(self, stream: Stream) -> None:
        self._selector.unregister(stream.fd)
        os.close(stream.fd)
        self.streams.remove(stream)
        last = stream.splitter.finish()
        if last is not None and not self.flooded:
            self._take(stream.name, last)

    def _take(self, stream: str, line: Line) -> None:
        if stream == "stdout":
            record = record_of(line)
            if record is not None:
                with contextlib.suppress(ValueError, RecursionError):
                    self._record(record, len(line.raw) + 1)
                    self.records += 1
                    return
            if self._expects_records and not line.truncated:
                self.garbage += 1
            elif line.truncated and (self._expects_records or self.records):
                self.truncated += 1
        count = self._other_lines[stream] = self._other_lines.get(stream, 0) + 1
        if count <= _KEPT_LINES:
            self._journal.add("output", {"stream": stream, "text": line.text})
        elif count == _KEPT_LINES + 1:
            self._note(
                "more than %d lines on %s that are no records; the rest is not kept" % (_KEPT_LINES, stream)
            )

    def _record(self, record: Dict[str, Any], size: int) -> None:
        kind = record.get("type")
        if kind in _FIRST_TO_GO and self._is_crowded():
            self._left_out_bytes += size
            return
        self._journal.add("record", record)
        self.is_urgent = self.is_urgent or kind in _AT_ONCE
        self.violated = self.violated or kind == "violation"
        if kind == "result":
            self.failed = record.get("status") == "error"

    def _is_crowded(self) -> bool:
        """No room for what is left out first; counted, and said once."""
        if self._journal.size + self._journal.waiting <= self._most * _SHARE:
            return False
        if not self.left_out:
            self._note(
                "the journal has %d bytes: from here on intervals and vital signs are left out, all else is kept"
                % (self._journal.size + self._journal.waiting)
            )
        self.left_out += 1
        return True

    def _is_flood(self) -> bool:
        """What it printed is too much, or what that makes of the journal: a short line takes some 130
        bytes there."""
        printed = self.read_bytes - self._left_out_bytes
        if not self.flooded and max(printed, self._journal.size + self._journal.waiting) > self._most:
            self.flooded = True
            self._note("more than %d bytes of output; the rest is thrown away" % self._most)
        return self.flooded
