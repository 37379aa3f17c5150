"""The debugger of an emulated machine, asked by its bare emulator: nothing is booted, and its memory is there all the same."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import SetupError
from orchestrator.lab import guest
from orchestrator.lab.debugger import SOCKET, Debugger

#: longer than the path of a socket may be
DEEP = "x" * 120


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Path]:
    guest.kernel()  # or it says how to come by an emulator
    folder = tmp_path / DEEP
    folder.mkdir()
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg", "-S"]
    process = subprocess.Popen([*argv, "-gdb", f"unix:{SOCKET},server=on,wait=off"], cwd=folder)
    try:
        until = time.monotonic() + 30.0
        while not (folder / SOCKET).exists() and time.monotonic() < until:
            time.sleep(0.01)
        yield folder
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_what_is_written_is_read_again_by_the_next(machine: Path) -> None:
    data = bytes(range(256))
    with Debugger(machine) as attached:
        attached.write(0x1000, data)
    with Debugger(machine) as attached:
        assert attached.read(0x1000, 256) == data


@pytest.mark.slow
def test_more_than_fits_is_refused_and_the_next_question_is_answered(machine: Path) -> None:
    with Debugger(machine) as attached:
        attached.write(0x1000, b"here")
        with pytest.raises(SetupError, match=f"{DEEP} refuses m1000,100000: E"):
            attached.read(0x1000, 1 << 20)
        assert attached.read(0x1000, 4) == b"here"


def test_a_machine_without_a_debugger_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="lets none be attached"), Debugger(tmp_path):
        pass


def test_one_that_hangs_up_does_not_answer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / SOCKET))
        server.listen()
        attached = Debugger(tmp_path).__enter__()
        server.accept()[0].close()
        with pytest.raises(SetupError, match="does not answer"):
            attached.read(0, 1)
        with pytest.raises(SetupError, match="does not answer"):
            attached.__exit__(None, None, None)
