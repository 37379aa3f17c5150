"""What a program printed last is read to its end, however long that takes on a busy machine."""

from __future__ import annotations

import fcntl
import itertools
import os
import selectors
import time
from types import SimpleNamespace

import pytest

from agents import supervisor
from agents.lines import Line


def test_all_that_a_pipe_holds_is_read_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, supervisor._F_SETPIPE_SZ, supervisor._PIPE_BYTES)
    line = b"x" * 1023 + b"\n"
    count = supervisor._PIPE_BYTES // len(line)
    os.write(write, line * count)
    os.close(write)
    lines: list[Line] = []
    ends = supervisor.Supervisor.__new__(supervisor.Supervisor)
    ends.streams = [supervisor._Stream("stdout", read)]
    ends.selector = selectors.DefaultSelector()
    ends.selector.register(read, selectors.EVENT_READ)
    ends.read_bytes, ends.flooded = 0, False
    limits = SimpleNamespace(output_bytes=1 << 30)
    monkeypatch.setattr(ends, "order", SimpleNamespace(limits=limits), raising=False)
    monkeypatch.setattr(ends, "_is_flood", lambda: False)
    monkeypatch.setattr(ends, "_take", lambda _, one: lines.append(one))
    with monkeypatch.context() as clock:
        clock.setattr(time, "monotonic", itertools.count(0, 10).__next__)
        ends._drain()
    assert len(lines) == count
    assert not any(one.truncated for one in lines)
