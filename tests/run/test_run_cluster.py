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
import yaml
from orch_process import ORCH, ROOT, endings, only_run, orch, table

from orchestrator.lab import rack

NAME = f"cluster{os.getpid()}"
pytestmark = pytest.mark.skipif(bool(rack.why_not()), reason=f"no rack here: {rack.why_not()}")

#: asks the head whose address stands in a file, with a token that is not the cluster's, or with none
STRANGER = """
import os, sys
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64) if sys.argv[2] == "wrong" else None
import ray
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).internal_kv_get(b"key", timeout=10)
except BaseException as e:
    print("REFUSED", sys.argv[2], type(e).__name__, e)
"""

#: of what runs on this host, the address of the head
FIND_HEAD = """
import pathlib
for p in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
    words = p.read_bytes().decode(errors='replace').split(chr(0))
    found = [w.split('=', 1)[1] for w in words if w.startswith('--gcs-address=')]
    if found: print(found[0]); break
"""

#: what the processes of Ray on this host may run on, and the ports at which they listen
LOOK = """
import pathlib, subprocess
for p in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        ours = b'ORCH_NODE_DIR=' in (p / 'environ').read_bytes()
        status = (p / 'status').read_text()
    except OSError:
        continue
    if ours:
        print('CPUS', status.split('Cpus_allowed_list:')[1].split()[0], status.split()[1])
for line in subprocess.run(['ss', '-Hltn'], capture_output=True, text=True).stdout.splitlines():
    print('PORT', line.split()[3].rpartition(':')[2])
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[str]:
    assert orch("lab", "up", NAME, "--hosts", "4").code == 0
    yield f"lab:{NAME}"
    assert orch("lab", "down", NAME).code == 0


def command(name: str, *argv: str) -> dict[str, Any]:
    return {"name": name, "workload": "command", "with": {"argv": list(argv)}}


def book(folder: Path, *argv: str, **more: Any) -> Path:
    path = folder / "book.yml"
    path.write_text(
        json.dumps({"orch": 1, "name": "cluster", "lease": "10m", "jobs": [command("work", *argv)], **more})
    )
    return path


def all_join(book: Path, inventory: str | Path, folder: Path, *words: str) -> Path:
    """The run folder of a run whose hosts have all joined. On a busy machine Ray may give up, and then the hosts are driven
    over SSH: that is no fault of the run."""
    for attempt in range(3):
        runs = folder / f"runs{attempt}"
        ran = orch("run", "playbook", book, "-i", inventory, "--runs", runs, *words, timeout_s=800)
        assert ran.code == 0, ran.err + ran.out
        run = only_run(runs)
        assert {status for status, _ in endings(run).values()} == {"passed"}
        if all(data["status"] != "apart" for _, data in events(run, "node")):
            break
    return run


def said_by(run: Path, host: str) -> list[str]:
    rows = table(run, "events")
    return [str(t) for t in rows[(rows["kind"] == "output") & (rows["host"] == host)]["text"]]


def keeps_nothing(host: str) -> None:
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


@pytest.mark.slow
def test_four_hosts_and_the_controller_are_one_cluster_by_token_with_seats_on_the_hosts(
    hosts: str, tmp_path: Path
) -> None:
    """The smoke playbook, and meanwhile a stranger on each host."""
    smoke = yaml.safe_load((ROOT / "playbooks" / "smoke.yml").read_text())
    shell = f'head=$({sys.executable} -c "$0"); {sys.executable} -c "$1" $head wrong; unset RAY_AUTH_MODE; {sys.executable} -c "$1" $head none'
    smoke["jobs"] += [
        {
            **command("stranger", "sh", "-c", shell, FIND_HEAD, STRANGER),
            "limits": {"wall": "10m"},
        },
        {**command("look", sys.executable, "-c", LOOK), "together": True},
    ]
    path = tmp_path / "smoke.yml"
    path.write_text(json.dumps(smoke))
    run = all_join(path, hosts, tmp_path)
    ((_, cluster),) = events(run, "cluster")
    assert cluster["nodes"] == 5
    names = [f"h{i}" for i in range(1, 5)]
    ((_, barrier),) = events(run, "barrier")
    assert (set(barrier["starts"]), barrier["waited_for"]) == (set(names), [])
    assert barrier["skew_s"] >= 0.0
    assert {data["host"] for _, data in events(run, "clock") if data["error_s"] is not None} == set(names)
    assert {data["host"]: data["at"] for _, data in events(run, "seat")} == {n: n for n in names}
    housekeeping = str(min(os.sched_getaffinity(0)))
    for host in names:
        said = said_by(run, host)
        refused = [line.split()[1] for line in said if line.startswith("REFUSED")]
        assert refused == ["wrong", "none"], said
        assert {x.split()[1] for x in said if x.startswith("CPUS") and "raylet" in x} == {housekeeping}
        keeps_nothing(host)
    measured = table(run, "samples").groupby("host")["job"].unique()
    assert {host: set(jobs) for host, jobs in measured.items()} == {n: {"check", "churn"} for n in names}
    released = orch("hosts", "release", "--sweep", "-i", hosts)
    assert released.out == "".join(f"{n}\tnothing was left\n" for n in names)


@pytest.mark.slow
def test_a_cluster_that_speaks_tls_on_ports_of_our_choice(hosts: str, tmp_path: Path) -> None:
    """Ray's certificates are the run's; what listens, here and there, does so where the firewall is open."""
    path = book(
        tmp_path,
        sys.executable,
        "-c",
        LOOK,
        cluster={"tls": True, "ports": "23000-23099", "health": "short", "object_store": "76MiB"},
    )
    run = all_join(path, hosts, tmp_path, "--limit", "h1:h2")
    ((_, cluster),) = events(run, "cluster")
    assert (cluster["nodes"], cluster["tls"], cluster["health"]) == (3, True, "short")
    assert {data["host"] for _, data in events(run, "seat")} == {"h1", "h2"}
    for host in ("h1", "h2"):
        ports = {int(line.split()[1]) for line in said_by(run, host) if line.startswith("PORT")} - {22}
        assert {23001, 23002} <= ports
        assert all(23000 <= port <= 23099 for port in ports), sorted(ports)


def test_a_host_without_ray_is_driven_over_ssh_and_it_is_said_why(hosts: str, tmp_path: Path) -> None:
    lab = Path(os.environ["ORCH_STATE"]) / "labs" / NAME / "inventory.yml"
    changed = tmp_path / "inventory.yml"
    text = lab.read_text()
    first = text.index("    ray: ")
    changed.write_text(
        text[:first] + text[first:].replace(f'ray: "{sys.executable}"', 'ray: "/bin/false"', 1)
    )
    told = orch("hosts", "list", "--status", "-i", changed, "--limit", "h1:h2").out.splitlines()
    assert "driven over SSH: no Ray under /bin/false" in next(line for line in told if line.startswith("h1"))
    assert "driven over SSH" not in next(line for line in told if line.startswith("h2"))
    words: list[str | Path] = ["-i", changed, "--limit", "h1:h2", "--runs", tmp_path / "runs"]
    ran = orch("run", "playbook", book(tmp_path, "true"), *words)
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
