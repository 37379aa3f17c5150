"""The process that holds Ray hears nothing of a Ctrl-C, not even while it starts."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import driver
from orchestrator.engine.driver import DriverSeats


def blocked_or_ignored(pid: int) -> set[int]:
    """Numbers of the signals that a process does not hear, from its status in /proc."""
    rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    mask = int(rows["SigBlk"], 16) | int(rows["SigIgn"], 16)
    return {n for n in range(1, 65) if mask >> (n - 1) & 1}


def test_the_driver_is_deaf_to_the_terminal_from_its_first_instruction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(driver, "_serve", wait)
    before = set(multiprocessing.active_children())
    with DriverSeats([], tmp_path) as seats:
        (child,) = set(multiprocessing.active_children()) - before
        assert child.pid is not None
        assert {signal.SIGINT, signal.SIGHUP} <= blocked_or_ignored(child.pid)
        assert not {signal.SIGINT, signal.SIGHUP} & signal.pthread_sigmask(signal.SIG_BLOCK, [])
        seats.let_go()


def wait(pipe: Connection, *_: Any) -> None:
    """In the place of the driver's work: until the other end is closed."""
    pipe.poll(60)
