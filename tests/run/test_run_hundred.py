"""A hundred hosts, seven of which cannot take part: each with its reason, and the others' results. Minutes: run by `make test-slow`."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from orch_process import endings, only_run, orch, write

from orchestrator.lab import loopback
from orchestrator.lab.labs import Lab
from orchestrator.model.inventory import read_inventory
from orchestrator.transport import open_link

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.sshd, pytest.mark.timeout(900)]

HOSTS = 100
DEAD, REFUSING, CHANGED, FULL = ("h3", "h50", "h100"), ("h7", "h77"), "h20", "h60"
BOOK = """\
orch: 1
name: hundred
seed: 1
hosts: all
jobs:
  - {name: begin, workload: command, with: {argv: ["true"]}}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Lab]:
    made = loopback.up("hundred", HOSTS)
    try:
        yield made
    finally:
        loopback.down("hundred")


def with_faults(lab: Lab, folder: Path) -> Path:
    """An inventory of the lab in which seven hosts are out of order, each in its way."""
    for name in DEAD:
        loopback.kill(lab.name, name)
    hosts: dict[str, Any] = yaml.safe_load(lab.inventory.read_text())
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")], check=True)
    for name in REFUSING:
        hosts["hosts"][name]["ssh"]["key"] = str(folder / "other")
    public = (folder / "other.pub").read_text().split()[:2]
    ssh = hosts["hosts"][CHANGED]["ssh"]
    write(folder, "changed", f"[{ssh['host']}]:{ssh['port']} {' '.join(public)}\n")
    ssh["known_hosts"] = str(folder / "changed")
    read, errors = read_inventory(lab.inventory)
    assert read is not None, errors
    with contextlib.closing(open_link(read.hosts[FULL])) as link:
        disk = ["mount", "-t", "tmpfs", "-o", "size=32k", "disk", read.hosts[FULL].spool]
        assert link.run(disk).exit == 0
    return write(folder, "hundred.inventory.yml", yaml.safe_dump(hosts))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a disk that is full")
def test_seven_of_a_hundred_hosts_are_out_of_order_and_93_give_results(fleet: Lab, tmp_path: Path) -> None:
    inventory = with_faults(fleet, tmp_path)
    book = write(tmp_path, "hundred.yml", BOOK)
    ended = orch(
        "run", "playbook", book, "-i", inventory, "--runs", tmp_path / "runs", "--forks", "64", timeout_s=800
    )
    assert ended.code == 3, ended.err
    ends = {step.partition("@")[2]: end for step, end in endings(only_run(tmp_path / "runs")).items()}
    assert len(ends) == HOSTS
    out = {host: end for host, end in ends.items() if end[0] != "passed"}
    assert set(out) == {*DEAD, *REFUSING, CHANGED, FULL}
    assert all("nothing listens on" in out[host][1] for host in DEAD)
    assert all("refuses the login of user" in out[host][1] for host in REFUSING)
    assert "another host key than the one on record" in out[CHANGED][1]
    assert "No space left on device" in out[FULL][1]
    assert {status for status, _ in out.values()} == {"lost"}
