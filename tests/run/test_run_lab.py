"""Whole runs over real SSH: four hosts of a lab, one of which dies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from orch_process import endings, only_run, orch, start, table, wait_for, write

from orchestrator.lab import loopback

pytestmark = [pytest.mark.ray, pytest.mark.sshd]

BOOK = """\
orch: 1
name: fleet
seed: 3
hosts: all
jobs:
  - {name: begin, workload: command, with: {argv: ["true"]}}
  - {name: wait, workload: command, with: {argv: [sleep, "SECONDS"]}}
  - {name: finish, needs: [wait], workload: command, with: {argv: ["true"]}}
"""

#: what is filled in from what only the inventory says of a host
EACH = '  - {name: each, workload: command, with: {argv: [echo, "{{ host }} of {{ hostvars.owner }}"]}}\n'


def with_vars(tmp: Path, lab: Any) -> Path:
    fleet = yaml.safe_load(lab.lab.inventory.read_text())
    return write(tmp, "fleet-inventory.yml", json.dumps({**fleet, "vars": {"owner": "ours"}}))


def book(tmp: Path, seconds: float) -> Path:
    return write(tmp, "fleet.yml", BOOK.replace("SECONDS", str(seconds)))


def logins(lab: Any) -> dict[str, int]:
    """How often each host has let somebody in."""
    hosts = ("h1", "h2", "h3", "h4")
    return {h: (lab.lab.path / h / "sshd.log").read_text().count("Accepted publickey") for h in hosts}


def shipped(run: Path) -> dict[str, int]:
    hosts = table(run, "hosts")
    return {str(h): int(b) for h, b in zip(hosts.host, hosts.bytes_shipped, strict=True)}


def test_four_hosts_over_ssh_and_the_second_time_nothing_is_shipped(tmp_path: Path, lab: Any) -> None:
    words = ["-i", f"lab:{lab.name}"]
    first = orch("run", "playbook", book(tmp_path, 0.1), *words, "--runs", tmp_path / "a")
    assert first.code == 0, first.err
    before = logins(lab)
    second = orch("run", "playbook", book(tmp_path, 0.1), *words, "--runs", tmp_path / "b")
    assert second.code == 0, second.err
    # one of the run and one of the seat from which it is driven, however many phases and jobs there are
    assert {h: count - before[h] for h, count in logins(lab).items()} == dict.fromkeys(before, 2)
    run = only_run(tmp_path / "b")
    assert shipped(run) == dict.fromkeys(["h1", "h2", "h3", "h4"], 0)
    assert {s for s, _ in endings(run).values()} == {"passed"}
    assert len(endings(run)) == 12
    assert set(table(run, "hosts").emulated) == {True}
    assert (only_run(tmp_path / "a") / "plan.json").read_bytes() == (run / "plan.json").read_bytes()


def test_a_host_that_dies_before_the_run_is_lost_and_the_others_complete(
    tmp_path: Path, lab: Any, spare: str
) -> None:
    lab.kill(spare)
    ended = orch("run", "playbook", book(tmp_path, 0.1), "-i", f"lab:{lab.name}", "--runs", tmp_path / "runs")
    assert ended.code == 3, ended.err
    only_spare_is_lost(only_run(tmp_path / "runs"), spare)


def test_a_host_that_is_back_after_the_run_is_made_up_for(tmp_path: Path, lab: Any, spare: str) -> None:
    runs = ("--runs", tmp_path / "runs")
    lab.kill(spare)
    text = BOOK.replace("SECONDS", "0.1") + EACH
    playbook = write(tmp_path, "fleet.yml", text)
    ended = orch("run", "playbook", playbook, "-i", with_vars(tmp_path, lab), *runs)
    assert ended.code == 3, ended.err
    run = only_run(tmp_path / "runs")
    assert f"to make up for what is missing: orch resume {run.name}" in ended.out
    before = {p.name: p.read_bytes() for p in run.glob("journal/h*/*")}

    still_gone = orch("resume", run.name, *runs)
    assert (still_gone.code, endings(run)[f"begin-0000@{spare}"][0]) == (3, "lost")
    loopback.revive(lab.name, spare)
    again = orch("resume", run.name, *runs)
    assert again.code == 0, again.err
    assert {status for status, _ in endings(run).values()} == {"passed"}
    assert len(endings(run)) == 16
    steps = {s["id"]: s for s in json.loads((run / "plan.json").read_text())["steps"]}
    assert steps[f"each-0000@{spare}"]["settings"]["argv"] == ["echo", f"{spare} of ours"]
    assert {p.name: p.read_bytes() for p in run.glob("journal/h*/*") if p.name in before} == before
    assert "nothing is missing" in orch("resume", run.name, *runs).err


def test_a_host_that_dies_during_the_run_is_lost_and_the_others_complete(
    tmp_path: Path, lab: Any, spare: str
) -> None:
    words: list[str | Path] = [
        "-i",
        f"lab:{lab.name}",
        "--patience",
        "3",
        "--runs",
        tmp_path / "runs",
        "--json",
    ]
    process = start("run", "playbook", book(tmp_path, 4), *words)
    wait_for(lambda: list((tmp_path / "runs").glob(f"*/journal/{spare}/wait-*.ndjson")))
    lab.kill(spare)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 3, err
    assert json.loads(out)["verdict"] == "unknown"
    run = only_run(tmp_path / "runs")
    ends = endings(run)
    assert ends[f"begin-0000@{spare}"][0] == "passed"
    assert ends[f"wait-0000@{spare}"][0] == "lost"
    assert "out of reach" in ends[f"wait-0000@{spare}"][1]
    assert ends[f"finish-0000@{spare}"] == ("skipped", f"needs wait, which was lost on {spare}")
    assert {s for step, (s, _) in ends.items() if not step.endswith(spare)} == {"passed"}


def only_spare_is_lost(run: Path, spare: str) -> None:
    ends = endings(run)
    assert {s for step, (s, _) in ends.items() if step.endswith(spare)} == {"lost"}
    assert all(reason for _, reason in ends.values())
    assert {s for step, (s, _) in ends.items() if not step.endswith(spare)} == {"passed"}
    assert len(ends) == 12


def test_an_unknown_host_key_loses_the_host_and_says_what_to_do(tmp_path: Path, lab: Any) -> None:
    empty = write(tmp_path, "known_hosts", "")
    text = lab.lab.inventory.read_text().replace(str(lab.lab.path / "known_hosts"), str(empty))
    inventory = write(tmp_path, "inventory.yml", text)
    ended = orch(
        "run", "playbook", book(tmp_path, 0.1), "-i", inventory, "--limit", "h1", "--runs", tmp_path / "runs"
    )
    assert ended.code == 3, ended.err
    ((status, reason), *_) = endings(only_run(tmp_path / "runs")).values()
    assert status == "lost"
    assert "orch hosts trust h1" in reason
