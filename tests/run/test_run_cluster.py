"""A run over hosts with networks of their own: one Ray cluster by token, seats on the hosts, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from orch_process import ORCH, ROOT, endings, only_run, orch, table

from orchestrator.lab import rack

NAME = f"cluster{os.getpid()}"
pytestmark = pytest.mark.skipif(bool(rack.why_not()), reason=f"no rack here: {rack.why_not()}")

#: asks the head whose address stands in a file, with a token that is not the cluster's
STRANGER = """
import os, sys
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
import ray
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).internal_kv_get(b"key", timeout=10)
except BaseException as e:
    print("REFUSED", type(e).__name__, e)
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[str]:
    assert orch("lab", "up", NAME, "--hosts", "2").code == 0
    yield f"lab:{NAME}"
    assert orch("lab", "down", NAME).code == 0


def book(folder: Path, *argv: str) -> Path:
    path = folder / "book.yml"
    job = {"name": "work", "workload": "command", "with": {"argv": list(argv)}}
    path.write_text(json.dumps({"orch": 1, "name": "cluster", "lease": "10m", "jobs": [job]}))
    return path


def test_hosts_join_are_driven_from_seats_of_their_own_and_keep_nothing(hosts: str, tmp_path: Path) -> None:
    """What runs on the host meanwhile is the stranger: it finds the head by what Ray's processes were started with."""
    find = (
        "import pathlib\n"
        "for p in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
        "    words = p.read_bytes().decode(errors='replace').split(chr(0))\n"
        "    found = [w.split('=', 1)[1] for w in words if w.startswith('--gcs-address=')]\n"
        "    if found: print(found[0]); break\n"
    )
    shell = f'{sys.executable} -c "$1" "$({sys.executable} -c "$0")"'
    argv = ["sh", "-c", shell, find, STRANGER]
    for attempt in range(3):
        # on a busy machine Ray may give up, and then the hosts are driven over SSH: that is no fault of the run
        runs = tmp_path / f"runs{attempt}"
        ran = orch("run", "playbook", book(tmp_path, *argv), "-i", hosts, "--runs", runs, timeout_s=800)
        assert ran.code == 0, ran.err + ran.out
        assert {status for status, _ in endings(only_run(runs)).values()} == {"passed"}
        seats = {data["host"]: data["at"] for _, data in events(only_run(runs), "seat")}
        if len(seats) == 2:
            break
    assert seats == {"h1": "h1", "h2": "h2"}
    said = [text for text, _ in events(only_run(runs), "output")]
    assert sum(text.startswith("REFUSED") for text in said) == 2, said
    for host in ("h1", "h2"):
        seen = subprocess.run(
            [*ORCH, "lab", "exec", NAME, host, "--", "ps", "-eo", "args"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
        assert "ray::" not in seen
        assert "raylet" not in seen
        assert "agents" not in seen
    released = orch("hosts", "release", "--sweep", "-i", hosts)
    assert released.out == "h1\tnothing was left\nh2\tnothing was left\n"


def test_a_host_without_ray_is_driven_over_ssh_and_it_is_said_why(hosts: str, tmp_path: Path) -> None:
    lab = Path(os.environ["ORCH_STATE"]) / "labs" / NAME / "inventory.yml"
    changed = tmp_path / "inventory.yml"
    text = lab.read_text()
    first = text.index("    ray: ")
    changed.write_text(
        text[:first] + text[first:].replace(f'ray: "{sys.executable}"', 'ray: "/bin/false"', 1)
    )
    ran = orch("run", "playbook", book(tmp_path, "true"), "-i", changed, "--runs", tmp_path / "runs")
    assert ran.code == 0, ran.err
    run = only_run(tmp_path / "runs")
    why = {data["host"]: text for text, data in events(run, "node") if data["status"] == "apart"}
    assert why["h1"].startswith(("no Ray under /bin/false", "there was no head"))
    assert "h1" not in {data["host"] for _, data in events(run, "seat")}


def events(run: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Text and data of each, in their order."""
    rows = table(run, "events")
    rows = rows[rows["kind"] == kind]
    return [(str(text), json.loads(str(data))) for text, data in zip(rows["text"], rows["data"], strict=True)]
