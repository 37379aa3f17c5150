"""On a kernel of its own a launch is a control group, and the kernel holds it to its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.lab import guest, labs, life

ORCH = [sys.executable, "-m", "orchestrator.cli.app"]
ROOT = Path(__file__).parents[2]
NAME = "gmemory"

#: More than the limit at once, in a child that has let go of its parent: looking at it five times a second comes too late.
GREEDY = "import os, time; os.fork() or os.setsid(); x = b'x' * (900 << 20); time.sleep(600)"
PLAYBOOK = f"""
orch: 1
name: memory
jobs:
  - name: greedy
    workload: command
    with: {{argv: [python3, -c, "{GREEDY}"]}}
    measure: {{seconds: 5s}}
    limits: {{memory: 100MiB, wall: 10m}}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("ORCH_STATE", str(tmp_path / "state"))
    guest.kernel()
    done = subprocess.run(
        [*ORCH, "lab", "up", NAME, "--numa", "2x1"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    yield f"lab:{NAME}"
    for name in labs.names():
        life.down(name)


@pytest.mark.slow
@pytest.mark.sshd
@pytest.mark.timeout(1500)
def test_the_kernel_of_a_host_holds_a_launch_to_its_memory(lab: str, tmp_path: Path) -> None:
    playbook = tmp_path / "memory.yml"
    playbook.write_text(PLAYBOOK)
    runs = tmp_path / "runs"
    words = ["run", "playbook", str(playbook), "-i", lab, "--runs", str(runs), "--json"]
    done = subprocess.run(
        [*ORCH, *words], capture_output=True, text=True, check=False, cwd=ROOT, timeout=1400
    )
    assert done.returncode == 1, done.stderr
    (journal,) = next(runs.iterdir()).glob("journal/h1/*.ndjson")
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert entries[0]["data"]["held"] == "as a control group"
    notes = [e["data"]["text"] for e in entries if e["kind"] == "note"]
    assert f"the kernel ended it at its limit of {100 << 20} bytes" in notes
    assert entries[-1]["data"]["reason"] == "memory"
    left = subprocess.run(
        [
            *ORCH,
            "lab",
            "exec",
            NAME,
            "h1",
            "--",
            "sh",
            "-c",
            "ls /sys/fs/cgroup; cat /proc/[0-9]*/cgroup | sort -u",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert "orch-agent" not in left.stdout
