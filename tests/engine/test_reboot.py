"""The user's command that boots a host anew: run once, beside the run, and told whatever comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import reboot
from orchestrator.engine.reboot import Reboots
from orchestrator.model.address import Address
from orchestrator.model.inventory import read_inventory, written


def outcome(*words: str, times: int = 1) -> dict[str, Any]:
    notes: list[tuple[str, dict[str, Any]]] = []
    said: list[str] = []
    reboots = Reboots(
        {"h1": Address("h1", host="192.0.2.1", reboot=words)}, lambda k, d: notes.append((k, d)), said.append
    )
    for _ in range(times):
        reboots.gone("h1", "Oops: 0002")
    reboots.gone("another", "lost")
    reboots.close()
    ((kind, data),) = notes
    assert kind == "reboot"
    assert said == ["h1: its reboot command is run", f"h1: its reboot command {data['reason']}"]
    return data


def test_it_is_run_once_and_knows_which_host_and_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    data = outcome("sh", "-c", f'echo "$ORCH_HOST $ORCH_ADDRESS $ORCH_REASON" >> {log}; echo done', times=3)
    assert log.read_text() == "h1 192.0.2.1 Oops: 0002\n"
    assert (data["exit"], data["said"]) == (0, "done")


def test_one_that_fails_says_how() -> None:
    data = outcome("sh", "-c", "echo no such card >&2; exit 7")
    assert (data["exit"], data["reason"]) == (7, "ended with exit status 7: no such card")


def test_one_that_is_not_there_or_never_ends_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome("/nonexistent")["reason"] == "could not be started: No such file or directory"
    monkeypatch.setattr(reboot, "PATIENCE_S", 0.2)
    data = outcome("sleep", "1000")
    assert (data["exit"], data["reason"]) == (None, "took longer than 0.2 s and was killed")


def test_a_host_without_a_command_is_left_alone() -> None:
    notes: list[str] = []
    reboots = Reboots({"h1": Address("h1")}, lambda kind, _: notes.append(kind), notes.append)
    reboots.gone("h1", "lost")
    reboots.close()
    assert notes == []


def test_the_inventory_says_it_and_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yml"
    file.write_text("reboot: [bmc, reset]\nhosts:\n  h1:\n  h2: {reboot: [strip, '2']}\n")
    fleet, errors = read_inventory(file)
    assert not errors
    assert fleet is not None
    assert [fleet.hosts[h].reboot for h in ("h1", "h2")] == [("bmc", "reset"), ("strip", "2")]
    assert written(fleet.hosts["h2"])["reboot"] == ["strip", "2"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hosts: {h1: {reboot: bmc}}", "reboot"),
        ("hosts: {h1: {reboot: []}}", "reboot"),
        ("hosts: {h1: {local: true, reboot: [bmc]}}", "`reboot` is for other hosts than this machine"),
    ],
)
def test_what_cannot_be_a_command_is_said_with_its_line(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "fleet.yml"
    file.write_text(text + "\n")
    _, errors = read_inventory(file)
    assert len(errors) == 1
    assert str(errors[0]).startswith(f"{file}:1: ")
    assert what in str(errors[0])
