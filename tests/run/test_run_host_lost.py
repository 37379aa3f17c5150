"""How long it takes from what befalls a host to the line that says so, with the short and with the long settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from orch_process import ORCH, ROOT, orch, start, wait_for

from orchestrator.lab import faults, labs, rack

NAME = f"lost{os.getpid()}"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(rack.why_not()), reason=f"no rack here: {rack.why_not()}"),
]
GO = "/mnt/go"
TICKS = f"while [ ! -e {GO} ]; do echo tick; sleep 0.5; done"
#: What is asked for on a machine that has time, seconds; one that is busy may take `BUSY` times as long.
ASKED = {"short": 10.0, "long": 60.0}
BUSY = 4.0

#: run on the host that loses it
KILL_RAYLET = """
import os, pathlib, signal
for p in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        if b'ORCH_NODE_DIR=' in (p / 'environ').read_bytes() and (p / 'comm').read_text().strip() == 'raylet':
            os.kill(int(p.name), signal.SIGKILL)
    except OSError:
        pass
"""
KILL_AGENT = """
import json, os, pathlib, signal, sys
for p in pathlib.Path.home().glob('.cache/orch/runs/' + sys.argv[1] + '/*/*/pid'):
    os.kill(json.loads(p.read_text())['pid'], signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Four hosts; h3 and h4 are driven over SSH."""
    assert orch("lab", "up", NAME, "--hosts", "4").code == 0
    fleet = yaml.safe_load(labs.load(NAME).inventory.read_text())
    for host in ("h3", "h4"):
        del fleet["hosts"][host]["ray"]
    path = tmp_path_factory.mktemp("fleet") / "fleet.yml"
    path.write_text(yaml.safe_dump(fleet))
    yield path
    assert orch("lab", "down", NAME).code == 0


def on(host: str, *argv: str) -> None:
    words = [*ORCH, "lab", "exec", NAME, host, "--", *argv]
    subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)


def notes(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "journal" / "controller.ndjson").read_text().splitlines(keepends=True)
    return [e for e in map(json.loads, (x for x in lines if x.endswith("\n"))) if e["kind"] == kind]


def said_of(run: Path, host: str, words: dict[str, str]) -> float | None:
    """When the controller first wrote down that this host is lost, by any of these kinds of notes: kind → status, if it has one."""
    times = [
        e["t"]
        for kind, status in words.items()
        for e in notes(run, kind)
        if e["data"]["host"] == host and status in ("", e["data"].get("status"))
    ]
    return min(times, default=None)


def ticks(journal: Path) -> bool:
    return journal.is_file() and journal.read_text().count("tick") > 3


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("health", ["short", "long"])
def test_a_lost_host_is_said_soon(inventory: Path, tmp_path: Path, health: str) -> None:
    job = {"name": "ticks", "workload": "command", "with": {"argv": ["sh", "-c", TICKS]}}
    book = tmp_path / "book.yml"
    book.write_text(json.dumps({"orch": 1, "name": "lost", "cluster": {"health": health}, "jobs": [job]}))
    process = start("run", "playbook", book, "-i", inventory, "--runs", tmp_path, "--patience", "900")
    try:
        (run,) = wait_for(lambda: [p.parent for p in tmp_path.glob("*/plan.json")], 300.0)
        for host in ("h1", "h2", "h3", "h4"):
            journal = run / "journal" / host / f"ticks-0000@{host}.ndjson"
            wait_for(partial(ticks, journal), 900.0)
        joined = {e["data"]["host"] for e in notes(run, "node") if e["data"]["status"] == "joined"}
        rows = list(_befallen(run, "h1" in joined, "h2" in joined))
    finally:
        for host in ("h2", "h3"):
            faults.befall(NAME, "heal", host)
        for host in ("h1", "h2", "h3", "h4"):
            on(host, "touch", GO)
        _, err = process.communicate(timeout=900)
        for host in ("h1", "h2", "h3", "h4"):
            on(host, "rm", GO)
    print(f"\nsettings: {health}; load {os.getloadavg()[0]:.0f}; asked: {ASKED[health]:g} s")
    for what, took in rows:
        print(f"{what:<42} {took:6.1f} s")
    assert process.returncode == 3, err  # the step whose agent was killed
    assert len(rows) == 4, "no node had joined: the machine is too busy"
    assert all(took < BUSY * ASKED[health] for _, took in rows), rows
    for line in ("h2: its Ray node is lost: ", "h3: out of reach: ", "h3: within reach again "):
        assert f"orch: {line}" in err


def _befallen(run: Path, ray1: bool, ray2: bool) -> Iterator[tuple[str, float]]:
    """What befell a host, and how many seconds later it was said. ``ray1``, ``ray2``: whether h1 and h2 are nodes."""
    acts: list[tuple[bool, str, str, Callable[[], object], dict[str, str]]] = [
        (
            True,
            "h3",
            "cable cut, driven over SSH",
            partial(faults.befall, NAME, "cut", "h3"),
            {"reach": "away"},
        ),
        (
            True,
            "h4",
            "agent killed, driven over SSH",
            partial(on, "h4", sys.executable, "-c", KILL_AGENT, run.name),
            {"launch_lost": ""},
        ),
        (
            ray1,
            "h1",
            "Ray's node killed, driven from the host",
            partial(on, "h1", sys.executable, "-c", KILL_RAYLET),
            {"node": "lost"},
        ),
        (
            ray2,
            "h2",
            "cable cut, driven from the host",
            partial(faults.befall, NAME, "cut", "h2"),
            {"node": "lost", "reach": "away"},
        ),
    ]
    for there, host, what, act, words in acts:
        if there:
            before = time.time()
            act()
            yield what, wait_for(partial(said_of, run, host, words), 400.0) - before
