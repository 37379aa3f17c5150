"""Reading facts: the real agent over a real sshd, and every way in which a host can fail to answer."""

from __future__ import annotations

import contextlib
import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.wire import PROTOCOL
from orchestrator.bundle.agent import agent_zipapp
from orchestrator.errors import RemoteFailed
from orchestrator.fleet.facts import read_facts
from orchestrator.model.address import Address
from orchestrator.transport import open_link

pytestmark = pytest.mark.sshd


def archive(tmp_path: Path, main: str) -> Path:
    """An agent that does something else than ours."""
    path = tmp_path / "agent.pyz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("__main__.py", main)
    return path


def read(address: Address, agent: Path) -> Any:
    with contextlib.closing(open_link(address)) as link:
        return read_facts(link, agent, address.python, address.spool)


@pytest.fixture(params=["local", "ssh"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    if request.param == "local":
        return Address(name="here", local=True, spool=str(tmp_path / "spool"))
    made: Address = request.getfixturevalue("lab").address("h1", spool=str(tmp_path / "spool"))
    return made


def test_facts_are_the_hosts_and_nothing_is_written_there(address: Address) -> None:
    facts, offset = read(address, agent_zipapp())
    assert facts.protocol == PROTOCOL
    assert [cpu.cpu for cpu in facts.cpus if cpu.allowed] == sorted(os.sched_getaffinity(0))
    assert facts.kernel == os.uname().release
    assert abs(facts.clock_s - time.time()) < 60
    # the same clock: what is left is the time that the reading took
    assert offset == 0.0
    assert not Path(address.spool).exists()


@pytest.mark.parametrize("python", ["/nonexistent", "/etc/passwd", "no-such-python"])
def test_a_host_without_python_says_so(address: Address, python: str) -> None:
    with pytest.raises(RemoteFailed, match="no Python on the host") as caught:
        read(replace(address, python=python), agent_zipapp())
    assert "`python:`" in caught.value.hint
    assert caught.value.where == address.name


def test_a_python_that_is_too_old_says_its_version(address: Address, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "orch needs Python 3.9 or later on the host; this is 3.6.15" >&2\nexit 6\n'
    )
    python.chmod(0o755)
    with pytest.raises(RemoteFailed, match=r"needs Python 3\.9 .* this is 3\.6\.15"):
        read(replace(address, python=str(python)), agent_zipapp())


@pytest.mark.parametrize(
    ("main", "what"),
    [
        ("print('hello')", "no facts"),
        ("print('{}')", "no facts: Facts.protocol: missing"),
        ("", "no facts"),
        ("import sys; sys.stdout.buffer.write(bytes(range(256)))", "no facts"),
        ("raise ValueError('out of order')", "exit 1 .*ValueError: out of order"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
    ],
)
def test_an_answer_that_is_none_says_what_came(
    address: Address, tmp_path: Path, main: str, what: str
) -> None:
    with pytest.raises(RemoteFailed, match=what):
        read(address, archive(tmp_path, main))


def test_words_before_the_answer_do_no_harm(address: Address, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "Welcome to this host"\nexec python3 "$@"\n')
    python.chmod(0o755)
    facts, _ = read(replace(address, python=str(python)), agent_zipapp())
    assert facts.protocol == PROTOCOL


@pytest.mark.parametrize(("behind", "taken"), [(1000.0, 0.5), (-1000.0, 0.5), (0.0, 1e10)])
def test_the_offset_is_what_the_reading_proves(
    address: Address, monkeypatch: pytest.MonkeyPatch, behind: float, taken: float
) -> None:
    began = time.time() - behind if taken < 1 else 0.0
    readings = iter([began, began + taken])
    clock = SimpleNamespace(time=lambda: next(readings))
    with contextlib.closing(open_link(address)) as link:
        monkeypatch.setattr("orchestrator.fleet.facts.time", clock)
        facts, offset = read_facts(link, agent_zipapp(), address.python, address.spool)
    after = facts.clock_s - (began + taken)
    assert offset == (after if behind > 0 else facts.clock_s - began if behind < 0 else 0.0)
