"""Many hosts at once: each one answers, or there is a reason."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import survey as module
from orchestrator.engine.survey import survey
from orchestrator.model.address import Address

pytestmark = pytest.mark.sshd


def test_every_host_has_facts_or_a_reason(lab: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    asked = [
        lab.address("h1"),
        Address(name="gone", host="127.0.0.1", port=port, connect_timeout_s=2.0),
        lab.address("h2", python="/nonexistent"),
        lab.address("h3"),
        Address(name="here", local=True, spool=str(tmp_path)),
    ]
    found = survey(asked)
    assert list(found.facts) == ["h1", "h3", "here"]
    assert list(found.unreachable) == ["gone", "h2"]
    assert "nothing listens" in found.unreachable["gone"]
    assert "no Python" in found.unreachable["h2"]
    assert found.clock_offsets.keys() == found.facts.keys()
    assert "\n" not in "".join(found.unreachable.values())


def test_a_host_that_was_asked_lately_is_not_asked_again_where_that_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCH_STATE", str(tmp_path / "state"))
    here = Address(name="here", local=True, spool=str(tmp_path))
    first = survey([here], max_age_s=3600)
    assert first.ages == {}
    again = survey([here], max_age_s=3600)
    assert again.facts == first.facts
    assert 0 <= again.ages["here"] < 3600
    assert again.clock_offsets == {}
    assert survey([here]).ages == {}
    other = Address(name="here", local=True, spool=str(tmp_path / "other"))
    assert survey([other], max_age_s=3600).ages == {}
    (kept, _) = sorted((tmp_path / "state" / "facts").iterdir(), key=lambda p: p.stat().st_mtime_ns)
    said = json.loads(kept.read_text())
    for damage in (
        json.dumps({**said, "asked": said["asked"] + 7200}),
        json.dumps({**said, "asked": said["asked"] - 7200}),
        json.dumps({**said, "facts": {}}),
        "[]",
        "{",
    ):
        kept.write_text(damage)
        assert survey([here], max_age_s=3600).ages == {}


def test_an_interrupt_as_a_thread_begins_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(*_: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("release unlocked lock")  # what Python makes of it

    monkeypatch.setattr(ThreadPoolExecutor, "submit", cut_short)
    with pytest.raises(KeyboardInterrupt):
        module.on_each([Address("h")], lambda _: None, 1)


def test_no_hosts_are_no_work() -> None:
    assert survey([]) == ({}, {}, {}, {})


def test_no_more_hosts_than_asked_for_are_contacted_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock, now, most = threading.Lock(), 0, 0
    meet = threading.Barrier(3, timeout=20)

    def ask(address: Address, agent: Path, opener: Any) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        meet.wait()
        with lock:
            now -= 1
        return (address.name, 0.0)

    monkeypatch.setattr(module, "_ask", ask)
    found = survey([Address(name=f"h{n}") for n in range(9)], agent=tmp_path, forks=3)
    assert most == 3
    assert list(found.facts) == [f"h{n}" for n in range(9)]
