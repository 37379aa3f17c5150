"""Fixtures of more than one package: a lab of real sshds on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lab import loopback
from orchestrator.model.address import Address
from orchestrator.transport import Link

LAB_HOSTS = 4


class RunningLab:
    """Hosts h1 … h4. Tests that kill one use h4 and put it back (`spare`)."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def lab(self) -> loopback.Lab:
        return loopback.load(self.name)

    def address(self, name: str, **changes: Any) -> Address:
        host = self.lab.host(name)
        address = Address(
            name=name,
            host=host.address,
            port=host.port,
            user=self.lab.user,
            key=self.lab.path / "user",
            agent=False,
            known_hosts=self.lab.path / "known_hosts",
            python=str(Path(sys.executable).resolve()),
            spool=str(self.lab.path / name / "spool"),
            connect_timeout_s=10.0,
            emulated=True,
            lab=self.name,
        )
        return replace(address, **changes)

    def kill(self, name: str) -> None:
        loopback.kill(self.name, name)


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the labs and host keys of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCH_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("ORCH_LEASES", str(tmp_path_factory.mktemp("leases")))
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield


@pytest.fixture(scope="session")
def lab(_own_state: None) -> Iterator[RunningLab]:
    loopback.up("tests", LAB_HOSTS)
    try:
        yield RunningLab("tests")
    finally:
        loopback.down("tests")


@pytest.fixture
def spare(lab: RunningLab) -> Iterator[str]:
    """A host that a test may kill."""
    name = f"h{LAB_HOSTS}"
    yield name
    if not lab.lab.host(name).alive:
        loopback.revive(lab.name, name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, so that nobody's ~/.ssh counts."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[Link], str]]:
    """A disk of 1 MB on the host of a link; in a lab it lies in the host's own mount namespace."""
    made: list[tuple[Link, str]] = []

    def make(link: Link) -> str:
        folder = tmp_path / f"disk{len(made)}"
        folder.mkdir()
        done = link.run(["mount", "-t", "tmpfs", "-o", "size=1m", "disk", str(folder)])
        if done.exit != 0:
            pytest.skip("only root can make a small disk")
        made.append((link, str(folder)))
        return str(folder)

    yield make
    for link, folder in made:
        assert link.run(["umount", folder]).exit == 0
