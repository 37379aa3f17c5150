"""What is known of labs: their state on disk, one folder each, and the names of their hosts.

ORCH_STATE/labs/NAME/ (0700):
  lab.json              kind, hosts and processes; rewritten after every start
  inventory.yml         what `-i lab:NAME` reads
  user, user.pub        the key that logs in
  known_hosts           the hosts' keys
  h1/ …                 of each host: its key, sshd_config, sshd.log and what else its kind keeps there
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.lab import processes
from orchestrator.lab.processes import Process
from orchestrator.transport.known_hosts import host_id, state_dir

#: set in every process of a lab, so that what it started can be told from everything else
MARK = "ORCH_LAB_DIR"
_NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,39}$")


@dataclass(frozen=True)
class LabHost:
    """``outer`` is what was started; ``sshd`` what ends with the host, as seen from outside its namespaces."""

    name: str
    address: str
    port: int
    outer: Process | None = None
    sshd: Process | None = None
    #: what was done to it (`faults.FAULTS`), with how much of it
    faults: Mapping[str, float] = field(default_factory=dict)
    #: what spoils its cable
    relay: Process | None = None

    @property
    def alive(self) -> bool:
        return self.sshd is not None and processes.alive(self.sshd)


@dataclass(frozen=True)
class Lab:
    name: str
    path: Path
    user: str
    #: each host in namespaces of its own
    isolated: bool
    hosts: list[LabHost]
    #: one of `life.kind_of`
    kind: str = "loopback"
    #: the first process of the namespaces around all hosts, where the kind has such
    rack: Process | None = None
    #: inode of the controller's network namespace, 0 where that is everybody's
    network: int = 0
    #: size of a host's disk, where it has one of its own
    disk_bytes: int = 0
    #: CPUs x nodes of each host, where that was asked for
    shape: str = ""
    #: guests that KVM runs, and not an emulation
    kvm: bool = False

    @property
    def inventory(self) -> Path:
        return self.path / "inventory.yml"

    def host(self, name: str) -> LabHost:
        for host in self.hosts:
            if host.name == name:
                return host
        raise InputError(
            f"lab {self.name}", f"no host {name}", "hosts: " + ", ".join(h.name for h in self.hosts)
        )

    def having(self, host: LabHost) -> Lab:
        """With ``host`` in the place of the one that has its name, or as one more."""
        if all(h.name != host.name for h in self.hosts):
            return replace(self, hosts=[*self.hosts, host])
        return replace(self, hosts=[host if h.name == host.name else h for h in self.hosts])


class Unreadable(InputError):
    """The state of a lab that a crash has left."""


def labs_dir() -> Path:
    """In one spelling, whatever way leads there: processes are told by it."""
    return (state_dir() / "labs").resolve()


@contextlib.contextmanager
def locked(name: str) -> Iterator[int]:
    """One `orch lab` at a time changes a lab: the descriptor that the lock is held by. Raises InputError where the name is none."""
    if not _NAME.match(name):
        raise InputError("lab", f"{name!r} is no name for a lab", "small letters, digits, - _ .")
    labs_dir().mkdir(parents=True, exist_ok=True)
    with (labs_dir() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def forget(name: str) -> None:
    """Remove the files of a lab in which nothing runs any more."""
    shutil.rmtree(labs_dir() / name)
    (labs_dir() / f".{name}.lock").unlink(missing_ok=True)


def names() -> list[str]:
    if not labs_dir().is_dir():
        return []
    return sorted(p.name for p in labs_dir().iterdir() if p.is_dir() and _NAME.match(p.name))


def no_lab(name: str) -> InputError:
    return InputError("lab", f"no lab {name}", f"there are: {', '.join(names()) or 'none'}")


def load(name: str) -> Lab:
    """Raises InputError where there is no such lab, or where its state cannot be read."""
    path = labs_dir() / name
    try:
        data = json.loads((path / "lab.json").read_text())
        hosts = [
            LabHost(**{**h, **{part: _process(h[part]) for part in ("outer", "sshd", "relay")}})
            for h in data.pop("hosts")
        ]
        return Lab(**{**data, "name": name, "path": path, "hosts": hosts, "rack": _process(data["rack"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        if not path.is_dir():
            raise no_lab(name) from e
        raise Unreadable("lab", f"{path}/lab.json cannot be read: {e}", f"orch lab down {name}") from e


def _process(data: dict[str, int] | None) -> Process | None:
    return None if data is None else Process(data["pid"], data["started"])


def save(lab: Lab) -> None:
    data: dict[str, Any] = {k: v for k, v in asdict(lab).items() if k not in ("name", "path")}
    temporary = lab.path / ".lab.json"
    temporary.write_text(json.dumps(data, indent=1) + "\n")
    temporary.replace(lab.path / "lab.json")


def write_reachable(lab: Lab) -> None:
    """known_hosts and the inventory, once every host has its key."""
    known = [f"{host_id(h.address, h.port)} {_public(lab.path / h.name / 'host_key')}\n" for h in lab.hosts]
    (lab.path / "known_hosts").write_text("".join(known))
    lines = [f"# made by `orch lab up {lab.name}`; gone with `orch lab down {lab.name}`", "hosts:"]
    for host in lab.hosts:
        lines += _inventory_host(lab, host)
    lab.inventory.write_text("\n".join(lines) + "\n")


def _public(key: Path) -> str:
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def _inventory_host(lab: Lab, host: LabHost) -> Iterator[str]:
    quoted = json.dumps  # a JSON string is a YAML one
    yield f"  {host.name}:"
    yield f"    lab: {quoted(lab.name)}"
    yield "    emulated: true"
    if lab.kind == "guest":
        yield "    python: python3"
    else:
        # a shim in front of it would cost a tenth of a second at every step
        yield f"    python: {quoted(str(Path(sys.executable).resolve()))}"
        if lab.kind == "rack":
            # each host has a network of its own, and finds this program's Ray where it is here
            yield f"    ray: {quoted(sys.executable)}"
    if lab.kind == "loopback":
        # the others have a disk of their own, and their usual place on it
        yield f"    spool: {quoted(str(lab.path / host.name / 'spool'))}"
    yield "    ssh:"
    yield f"      host: {host.address}"
    yield f"      port: {host.port}"
    yield f"      user: {quoted(lab.user)}"
    yield f"      key: {quoted(str(lab.path / 'user'))}"
    yield "      agent: false"
    if lab.kind == "guest":
        # key exchange takes seconds where every instruction is emulated
        yield "      timeout: 60s"
    yield f"      known_hosts: {quoted(str(lab.path / 'known_hosts'))}"
