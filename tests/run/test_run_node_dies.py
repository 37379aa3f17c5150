"""A host's Ray node dies, or is cut off, or everything that drives it is killed: nothing is lost, nothing repeated, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from orch_process import ORCH, ROOT, endings, only_run, orch, press_ctrl_c, start, table, wait_for
from soak_faults import OF_RAY

from orchestrator.lab import rack

NAME = f"nodes{os.getpid()}"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(rack.why_not()), reason=f"no rack here: {rack.why_not()}"),
]

#: until the test says so
GO = "/mnt/go"
WAIT = f"while [ ! -e {GO} ]; do sleep 0.5; done"


@pytest.fixture(scope="module")
def hosts() -> Iterator[str]:
    assert orch("lab", "up", NAME, "--hosts", "2").code == 0
    yield f"lab:{NAME}"
    assert orch("lab", "down", NAME).code == 0


def ticking(folder: Path, seconds: int, **more: Any) -> Path:
    """A job that says something twice a second, one that waits for the test, and one after it."""
    loop = f"i=0; while [ $i -lt {2 * seconds} ]; do echo tick $i; i=$((i+1)); sleep 0.5; done"
    jobs = [
        {"name": "ticks", "workload": "command", "with": {"argv": ["sh", "-c", loop]}},
        {"name": "settle", "needs": ["ticks"], "workload": "command", "with": {"argv": ["sh", "-c", WAIT]}},
        {"name": "after", "needs": ["settle"], "workload": "command", "with": {"argv": ["true"]}},
    ]
    path = folder / "book.yml"
    path.write_text(json.dumps({"orch": 1, "name": "ticks", "jobs": jobs, **more}))
    return path


def on(host: str, *argv: str) -> str:
    words = [*ORCH, "lab", "exec", NAME, host, "--", *argv]
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    rows = table(run, "events")
    return [json.loads(str(data)) for data in rows[rows["kind"] == kind]["data"]]


def seats(run: Path, job: str) -> list[str]:
    return [e["host"] for e in events(run, "seat") if e["job"] == job]


def ticks_of(run: Path, host: str) -> list[str]:
    rows = table(run, "events")
    said = rows[(rows["host"] == host) & rows["text"].str.startswith("tick ")]
    return [str(text) for text in said["text"]]


def begun(runs: Path, host: str) -> Path:
    """The journal of the job that ticks, once it has."""
    journal = wait_for(lambda: list(runs.glob(f"*/journal/{host}/ticks-*.ndjson")), 900.0)[0]
    wait_for(lambda: journal.read_text().count("tick ") >= 3, 900.0)
    return Path(journal)


def joined_again(runs: Path, host: str) -> bool:
    (journal,) = runs.glob("*/journal/controller.ndjson")
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    return any(
        e["data"] == {"host": host, "status": "joined", "reason": "again"}
        for e in lines
        if e["kind"] == "node"
    )


@pytest.mark.parametrize("how", ["raylet", "cut"])
def test_a_lost_node_costs_nothing_and_joins_again(hosts: str, tmp_path: Path, how: str) -> None:
    runs = tmp_path / "runs"
    book = ticking(tmp_path, 90 if how == "cut" else 20)
    process = start("run", "playbook", book, "-i", hosts, "--runs", runs, "--patience", "300")
    begun(runs, "h1")
    if how == "raylet":
        killed = on("h1", sys.executable, "-c", OF_RAY, "raylet")
        if not killed:
            press_ctrl_c(process)
            process.communicate(timeout=600)
            pytest.skip("no node had joined: the machine is too busy")
    else:
        assert orch("lab", "fault", NAME, "cut", "h1").code == 0
        time.sleep(45.0)
        assert orch("lab", "fault", NAME, "heal", "h1").code == 0
    try:
        wait_for(lambda: joined_again(runs, "h1"), 900.0)
    finally:
        for host in ("h1", "h2"):
            on(host, "touch", GO)
    _, err = process.communicate(timeout=900)
    for host in ("h1", "h2"):
        on(host, "rm", GO)
    assert process.returncode == 0, err
    run = only_run(runs)
    assert {status for status, _ in endings(run).values()} == {"passed"}
    count = 2 * (90 if how == "cut" else 20)
    for host in ("h1", "h2"):
        assert ticks_of(run, host) == [f"tick {i}" for i in range(count)]
    assert seats(run, "ticks").count("h2") == 1
    assert "h1" in seats(run, "after")


def test_what_a_killed_controller_leaves_is_swept(hosts: str, tmp_path: Path) -> None:
    """The controller and all of its processes at once: nobody is left who could tidy up."""
    runs = tmp_path / "runs"
    process = start("run", "playbook", ticking(tmp_path, 600), "-i", hosts, "--runs", runs)
    for host in ("h1", "h2"):
        begun(runs, host)
    family = [process.pid, *(p.pid for p in psutil.Process(process.pid).children(recursive=True))]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    swept = orch("hosts", "release", "--sweep", "-i", hosts, "--json")
    assert swept.code == 0, swept.err
    answers = json.loads(swept.out)["hosts"]
    for host in ("h1", "h2"):
        assert answers[host]["stopped"], answers[host]
        assert answers[host]["left"] == []
        running = on(host, "ps", "-eo", "args")
        assert not [line for line in running.splitlines() if "ray" in line or "tick" in line], running
    again = orch("hosts", "release", "--sweep", "-i", hosts)
    assert again.out == "h1\tnothing was left\nh2\tnothing was left\n"
