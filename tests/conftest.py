"""Fixtures of more than one package: a lab of real sshds on loopback; and which tests several workers do side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from orchestrator.lab import loopback
from orchestrator.model.address import Address
from orchestrator.transport import Link

LAB_HOSTS = 4

# how long an example takes says more of the machine than of what is tested
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


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


#: Files whose tests take long and have nothing in common but what is built once: each test goes to whoever is free.
APART = {
    "tests/native/test_harness_run.py",
    "tests/native/test_harness_stall.py",
    "tests/native/test_harness_stop.py",
    "tests/native/test_harness_tuned.py",
    "tests/native/test_mutants.py",
}
#: One of each at a time: a Ray, a lab of sshds. Every other file is a group of its own.
GROUPS = {
    "ray": ("tests/run/", "tests/faults/", "tests/engine/test_spread.py"),
    "lab": (
        "tests/transport/",
        "tests/fleet/",
        "tests/lab/",
        "tests/cli/test_hosts_cli.py",
        "tests/engine/test_bootstrap.py",
        "tests/engine/test_ship.py",
        "tests/engine/test_survey.py",
    ),
}
#: What takes longest is begun first, so that no worker is left alone with it at the end.
LONG = (
    "tests/native/test_ctest.py",
    "tests/faults/",
    "tests/run/",
    "tests/native/test_leaks.py",
    *GROUPS["lab"],
    "tests/native/",
)


def group(nodeid: str) -> str:
    """With several workers (`-n`) the tests of one group go to one worker, one after the other."""
    path = nodeid.split("::", 1)[0]
    for name, beginnings in GROUPS.items():
        if path.startswith(beginnings):
            return name
    return nodeid if path in APART else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group
    return scheduler


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, path in enumerate(LONG) if item.nodeid.startswith(path)), len(LONG))

    for item in items:
        marks = {mark.name for mark in item.iter_markers()} & {"ray", "sshd"}
        if marks and group(item.nodeid) not in GROUPS:
            raise pytest.UsageError(
                f"{item.path.name} is marked {marks}: name it in GROUPS of tests/conftest.py"
            )
    if hasattr(config, "workerinput"):
        items.sort(key=place)


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
def small_disk(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A disk of 1 MB (or ``size``) on the host of a link; in a lab it lies in the host's own mount namespace."""
    made: list[tuple[Link, str]] = []

    def make(link: Link, size: str = "1m") -> str:
        folder = tmp_path / f"disk{len(made)}"
        folder.mkdir()
        done = link.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "disk", str(folder)])
        if done.exit != 0:
            pytest.skip("only root can make a small disk")
        made.append((link, str(folder)))
        return str(folder)

    yield make
    for link, folder in made:
        # what an agent ends after its last word may be there for a moment
        again = 'for i in $(seq 100); do umount "$0" && exit; sleep 0.2; done; exit 1'
        assert link.run(["sh", "-c", again, folder]).exit == 0
