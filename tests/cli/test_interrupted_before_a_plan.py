"""Ctrl-C while a host that says nothing is being asked: there is nothing to stop, so it leaves at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PLAYBOOK = """\
orch: 1
name: quick
hosts: all
jobs:
  - {name: one, workload: command, with: {argv: ["true"]}}
"""


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(240)
        yield server


@pytest.fixture
def _hears_ctrl_c() -> Iterator[None]:
    """Tests that run in the background of a shell, which has them ignore it, hand that on to their programs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_hears_ctrl_c")
@pytest.mark.parametrize("words", [("run", "playbook"), ("plan",)])
def test_it_leaves_at_once_with_130(silent: socket.socket, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)
    (tmp_path / "fleet.yml").write_text(
        f"hosts:\n  silent:\n    ssh: {{host: 127.0.0.1, port: {silent.getsockname()[1]}, user: nobody, timeout: 1h}}\n"
    )
    runs = tmp_path / "runs"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "orchestrator.cli.app", *words, str(tmp_path / "playbook.yml")),
            *("-i", str(tmp_path / "fleet.yml")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ORCH_RUNS": str(runs)},
        start_new_session=True,
    )
    peer, _ = silent.accept()
    with peer:
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=240)  # the host has an hour to say something
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert ("nothing was run" in err) == (words[0] == "run")
    assert not runs.exists()
