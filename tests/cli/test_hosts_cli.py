"""`orch hosts` over a lab: what is printed, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.hosts import app
from orchestrator.errors import InputError, InputErrors

pytestmark = pytest.mark.sshd


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_list_shows_every_host_and_contacts_none(lab: Any, spare: str) -> None:
    lab.kill(spare)
    shown = run("list", "-i", "lab:tests")
    assert shown.exit_code == 0
    assert [line.split("\t")[0] for line in shown.stdout.splitlines()] == ["h1", "h2", "h3", "h4"]
    hosts = answer("list", "-i", "lab:tests", "h1")["hosts"]
    assert [(h["host"], h["address"], h["lab"], h["emulated"]) for h in hosts] == [
        ("h1", "127.0.1.1", "tests", True)
    ]


def test_without_an_inventory_it_is_this_machine() -> None:
    assert [h["local"] for h in answer("list")["hosts"]] == [True]
    assert answer("ping")["hosts"][0]["ok"] is True


def test_pattern_and_limit_select_together(lab: Any) -> None:
    assert [h["host"] for h in answer("list", "all:!h2", "--limit", "h2,h3", "-i", "lab:tests")["hosts"]] == [
        "h3"
    ]
    assert isinstance(run("list", "h1", "--limit", "h2", "-i", "lab:tests").exception, InputError)
    assert isinstance(run("list", "h77", "-i", "lab:tests").exception, InputError)


def test_a_wrong_inventory_gives_all_its_errors(tmp_path: Path) -> None:
    wrong = tmp_path / "fleet.yml"
    wrong.write_text("hosts:\n  a: {ssh: {port: many}, pythn: x}\n")
    error = run("ping", "-i", str(wrong)).exception
    assert isinstance(error, InputErrors)
    assert len(error.errors) == 2
    assert isinstance(run("ping", "-i", str(tmp_path / "none.yml")).exception, InputErrors)
    assert isinstance(run("ping", "-i", "lab:none").exception, InputError)


def test_ping_tells_who_does_not_answer_by_exit_code_3(lab: Any, spare: str) -> None:
    assert run("ping", "-i", "lab:tests").exit_code == 0
    lab.kill(spare)
    told = run("ping", "-i", "lab:tests")
    assert told.exit_code == 3
    lines = told.stdout.splitlines()
    assert all("ok in" in line for line in lines[:3])
    assert lines[3].startswith(f"{spare}\tnothing listens")
    hosts = answer("ping", "-i", "lab:tests")["hosts"]
    assert [h["ok"] for h in hosts] == [True, True, True, False]
    assert hosts[0]["seconds"] > 0
    assert hosts[3]["seconds"] is None


def test_facts_are_shown_for_those_that_answer(lab: Any, spare: str) -> None:
    lab.kill(spare)
    told = run("facts", "-i", "lab:tests", "h1", "--json")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["facts"]["h1"]["cpus"]
    told = run("facts", "-i", "lab:tests", f"h1,{spare}")
    assert told.exit_code == 3
    first, second = told.stdout.splitlines()
    assert first.startswith("h1\t")
    assert "node(s)" in first
    assert second.startswith(f"{spare}\t")
    both = answer("facts", "-i", "lab:tests", f"h1,{spare}")
    assert (list(both["facts"]), list(both["unreachable"])) == (["h1"], [spare])


@pytest.fixture
def strangers(lab: Any, tmp_path: Path) -> Path:
    """The lab's inventory with a known_hosts of its own, still empty."""
    text = lab.lab.inventory.read_text().replace(
        str(lab.lab.path / "known_hosts"), str(tmp_path / "known_hosts")
    )
    path = tmp_path / "fleet.yml"
    path.write_text(text)
    return path


def test_trust_records_nothing_without_a_yes(strangers: Path) -> None:
    fleet = str(strangers)
    assert run("ping", "h1", "-i", fleet).exit_code == 3
    told = run("trust", "-i", fleet)
    assert isinstance(told.exception, InputError)
    assert told.stdout.count("SHA256:") == 4
    assert answer("trust", "h1", "-i", fleet)["hosts"][0]["recorded"] is False
    assert not (strangers.parent / "known_hosts").exists()


def test_trust_records_with_a_yes_and_then_they_answer(strangers: Path) -> None:
    fleet = str(strangers)
    told = answer("trust", "all", "--yes", "-i", fleet)
    assert [h["recorded"] for h in told["hosts"]] == [True] * 4
    assert [k["state"] for h in told["hosts"] for k in h["keys"]] == ["new"] * 4
    assert run("ping", "-i", fleet).exit_code == 0
    again = run("trust", "all", "-i", fleet)
    assert again.exit_code == 0
    assert again.stdout.count("known") == 4


def test_trust_asks_on_a_terminal(strangers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return "h2" in text

    monkeypatch.setattr("orchestrator.cli.hosts.typer.confirm", confirm)
    monkeypatch.setattr("orchestrator.cli.hosts._on_terminal", lambda: True)
    assert run("trust", "h1,h2", "-i", str(strangers)).exit_code == 0
    assert len(asked) == 2
    assert [run("ping", h, "-i", str(strangers)).exit_code for h in ("h1", "h2")] == [3, 0]


def test_trust_refuses_a_changed_key_and_says_what_to_do(lab: Any, strangers: Path) -> None:
    host = lab.lab.host("h1")
    other = (lab.lab.path / "h2" / "host_key.pub").read_text()
    record = strangers.parent / "known_hosts"
    record.write_text(f"[{host.address}]:{host.port} {other}")
    before = record.read_text()
    told = run("trust", "h1", "--yes", "-i", str(strangers))
    assert told.exit_code == 3
    assert f"remove line 1 of {record}" in told.output
    assert record.read_text() == before


def test_trust_tells_an_unreachable_host_by_exit_code_3(lab: Any, spare: str, strangers: Path) -> None:
    lab.kill(spare)
    told = run("trust", "all", "--yes", "-i", str(strangers), "--json")
    assert told.exit_code == 3
    assert [h["recorded"] for h in json.loads(told.stdout)["hosts"]] == [True, True, True, False]
