"""What a host lacks: the real script over real links, and the judgement of every answer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.hosts import app
from orchestrator.fleet.preflight import (
    FAILURE,
    LEVELS,
    NOTE,
    OK,
    WARNING,
    Said,
    Wanted,
    findings,
    probe,
    worst,
)
from orchestrator.model.address import Address
from orchestrator.transport import open_link

GOOD = {
    "clock": "1000.5",
    "uid": "0",
    "arch": "x86_64",
    "python": "3.11.2",
    "ray": "2.60.0",
    "memfd": "True",
    "spool": "/root/.cache/orch",
    "writable": "yes",
    "free": "9000000",
    "mount": "/",
    "noexec": "",
    "shm": "1000000",
    "memory": "8000000",
    "files": "1024",
}
WANTED = Wanted(python="3.11.2", ray="2.60.0", arch="x86_64", ports=(6379,))


def judged(
    changes: dict[str, str] | None = None, offset: float = 0.0, has: tuple[str, ...] = ("zstd", "sha256sum")
) -> list[tuple[str, str]]:
    values = {word: value for word, value in {**GOOD, **(changes or {})}.items() if value != "absent"}
    listens = [values.pop("listens")] if "listens" in values else []
    said = Said(values, {"has": list(has), "listens": listens}, offset)
    return [(finding.level, finding.what) for finding in findings("h1", said, WANTED)]


def test_a_host_that_lacks_nothing_is_said_to_be_ready() -> None:
    assert [level for level, _ in judged()] == [OK]
    assert judged()[0][1] == "ready: Python 3.11.2, 7.6 GiB memory, 8.6 GiB free for the spool"


@pytest.mark.parametrize(
    ("level", "words", "changes"),
    [
        (FAILURE, "no Python", {"python": "absent"}),
        (FAILURE, "Python 3.6.8: the agent needs 3.9", {"python": "3.6.8"}),
        (FAILURE, "no os.memfd_create", {"memfd": "False"}),
        (NOTE, "cannot join and is driven over SSH", {"python": "3.12.1", "ray": ""}),
        (NOTE, "Python 3.11.9, here 3.11.2", {"python": "3.11.9"}),
        (WARNING, "Ray 2.9.0 is installed", {"ray": "2.9.0"}),
        (FAILURE, "/root is not writable", {"writable": "no: /root"}),
        (FAILURE, "mounted noexec", {"noexec": "yes"}),
        (FAILURE, "97 MiB free", {"free": "100000"}),
        (WARNING, "488 MiB free", {"free": "500000", "ray": ""}),
        (WARNING, "aarch64, and the bundle is built here for x86_64", {"arch": "aarch64"}),
        (WARNING, "195 MiB of memory", {"memory": "200000"}),
        (NOTE, "0 MiB free in /dev/shm", {"shm": "64"}),
        (NOTE, "256 open files", {"files": "256"}),
        (WARNING, "port 6379 is in use", {"listens": "18EB"}),
        (NOTE, "cannot be tuned", {"uid": "1000"}),
    ],
)
def test_what_is_lacking_is_one_line_of_the_right_weight(
    level: str, words: str, changes: dict[str, str]
) -> None:
    lines = [line for line in judged(changes) if line[0] != OK]
    assert len(lines) == 1
    assert lines[0][0] == level
    assert words in lines[0][1]


@pytest.mark.parametrize(
    ("offset", "level", "words"),
    [
        (0.4, OK, "ready"),
        (-3.0, WARNING, "its clock is 3.0 s behind"),
        (7200.0, WARNING, "its clock is 2.0 h ahead"),
    ],
)
def test_a_clock_that_is_off_is_said_with_its_direction(offset: float, level: str, words: str) -> None:
    assert judged(offset=offset)[0][0] == level
    assert words in judged(offset=offset)[0][1]


def test_without_a_program_that_checks_digests_nothing_can_be_shipped() -> None:
    assert judged(has=("zstd",))[0] == (
        FAILURE,
        "neither openssl nor sha256sum: what arrives cannot be checked",
    )
    assert [level for level, _ in judged(has=("openssl",))] == [OK, NOTE]


def test_the_worst_comes_first_and_every_failure_says_what_to_do() -> None:
    said = Said({"free": "1000", "writable": "yes", "arch": "riscv64"}, {})
    found = findings("h1", said, WANTED)
    weights = [LEVELS.index(finding.level) for finding in found]
    assert weights == sorted(weights, reverse=True)
    assert worst(found) == FAILURE
    assert all(finding.hint for finding in found if finding.level == FAILURE)
    assert worst([]) == OK


# ---- over real links


@pytest.fixture(params=["local", "ssh"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    if request.param == "local":
        return Address(name="here", local=True, spool=str(tmp_path / "deep" / "spool"))
    made: Address = request.getfixturevalue("lab").address("h1", spool=str(tmp_path / "deep" / "spool"))
    return made


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.sshd
def test_a_host_answers_and_nothing_is_written_there(
    address: Address, tmp_path: Path, listening: int
) -> None:
    with contextlib.closing(open_link(address)) as link:
        said = probe(link, address.python, address.spool)
    assert said.values["arch"] == os.uname().machine
    assert said.values["spool"] == address.spool
    assert said.values["writable"] == "yes"
    assert said.clock_offset_s == 0.0
    assert (said.number("free") or 0) > 0
    assert (said.number("memory") or 0) > 0
    assert {int(port, 16) for port in said.many["listens"]} >= {listening}
    assert "sha256sum" in said.many["has"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sshd
def test_a_host_without_python_answers_all_the_same(address: Address) -> None:
    with contextlib.closing(open_link(address)) as link:
        found = findings(address.name, probe(link, "/nonexistent/python", address.spool), Wanted())
    assert (found[0].level, found[0].what) == (FAILURE, "no Python on the host")


@pytest.mark.sshd
def test_doctor_prints_a_line_for_each_finding_and_tells_by_its_exit_code(
    lab: Any, spare: str, listening: int
) -> None:
    well = CliRunner().invoke(app, ["doctor", "h1", "-i", "lab:tests"])
    assert well.exit_code in (0, 1)  # what this machine lacks, its hosts lack
    assert all(line.startswith("h1\t") for line in well.stdout.splitlines())

    busy = CliRunner().invoke(app, ["doctor", "h1", "-i", "lab:tests", "--port", str(listening)])
    assert busy.exit_code == 1
    assert f"h1\twarning\tport {listening} is in use" in busy.stdout

    lab.kill(spare)
    lost = CliRunner().invoke(app, ["doctor", f"h1,{spare}", "-i", "lab:tests", "--json"])
    assert lost.exit_code == 3
    hosts = {host["host"]: host for host in json.loads(lost.stdout)["hosts"]}
    assert hosts[spare]["level"] == "lost"
    assert "nothing listens" in hosts[spare]["reason"]
    assert hosts["h1"]["findings"]


def test_the_script_is_one_that_a_plain_shell_takes() -> None:
    from orchestrator.fleet import preflight

    assert subprocess.run(["sh", "-n", "-c", preflight._PROBE]).returncode == 0
