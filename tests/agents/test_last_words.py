"""What a program printed last is read to its end, however long that takes on a busy machine."""

from __future__ import annotations

import fcntl
import itertools
import os
import selectors
import time
from pathlib import Path

import pytest

from agents import output
from agents.journal import Writer
from agents.lines import Line


def test_all_that_a_pipe_holds_is_read_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, output._F_SETPIPE_SZ, output.PIPE_BYTES)
    line = b"x" * 1023 + b"\n"
    count = output.PIPE_BYTES // len(line)
    os.write(write, line * count)
    os.close(write)
    lines: list[Line] = []
    journal = Writer(tmp_path / "journal.ndjson", 0)
    ends = output.Output(journal, selectors.DefaultSelector(), False, 1 << 30, lambda _: None)
    ends.attach("stdout", read)
    monkeypatch.setattr(ends, "_take", lambda _, one: lines.append(one))
    with monkeypatch.context() as clock:
        clock.setattr(time, "monotonic", itertools.count(0, 10).__next__)
        ends.drain()
    journal.close()
    assert len(lines) == count
    assert not any(one.truncated for one in lines)
