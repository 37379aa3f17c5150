"""A reader that leaves changes nothing but what is read: the command goes on, its exit code is its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ORCH = [sys.executable, "-m", "orchestrator.cli.app"]


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def test_a_pipe_that_nobody_reads_is_no_failure() -> None:
    pipe = closed_pipe()
    done = subprocess.run(
        [*ORCH, "check", "--schema"], stdout=pipe, stderr=subprocess.PIPE, timeout=240, check=False
    )
    os.close(pipe)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_exit_code_is_still_what_was_found(tmp_path: Path) -> None:
    pipe = closed_pipe()
    command = [*ORCH, "check", "--json", str(tmp_path / "none.yml")]
    done = subprocess.run(command, stdout=pipe, stderr=pipe, timeout=240, check=False)
    os.close(pipe)
    assert done.returncode == 2


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_descriptors_are_no_failure(closed: str) -> None:
    command = ["sh", "-c", f'"$@" {closed}', "sh", *ORCH, "check", "--schema"]
    done = subprocess.run(command, capture_output=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_below_standard_output_is_told_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*ORCH, "check", "--schema"], stdout=full, stderr=subprocess.PIPE, timeout=240, check=False
        )
    assert done.returncode == 70
    assert b"No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1
