"""The life of a lab, whatever its kind: up, down, and the death and return of one host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from orchestrator.errors import InputError
from orchestrator.lab import guard, labs, processes
from orchestrator.lab.labs import Lab, LabHost


class Kind(Protocol):
    """What the kinds of labs do each in their own way."""

    def start(self, lab: Lab, host: LabHost) -> LabHost:
        """A dead host again, with its address, keys and disk. Raises SetupError where it does not answer."""

    def end(self, lab: Lab, host: LabHost, /) -> None:
        """The host and everything on it, at once. Harmless where it is dead."""

    def at(self, lab: Lab, host: LabHost | None, command: Sequence[str]) -> list[str]:
        """What runs ``command`` on a host past its network, or where the controller is. Raises InputError where
        that is dead."""

    def leave(self, lab: Lab) -> None:
        """What is around the hosts, after they have ended."""


def kind_of(lab: Lab) -> Kind:
    from orchestrator.lab.guests import Guests
    from orchestrator.lab.loopback import Loopback
    from orchestrator.lab.rack import Rack

    kinds: dict[str, Kind] = {"loopback": Loopback(), "rack": Rack(), "guest": Guests()}
    return kinds[lab.kind]


def raised(name: str, make: Callable[[Path], Lab]) -> Lab:
    """A new lab: ``make`` is given its folder, and what it started is ended where it raises, or this program is killed. Raises InputError
    where the name is in use by a lab that lives; what a crash has left of an earlier one makes way."""
    with labs.locked(name) as lock:
        path = labs.labs_dir() / name
        if path.exists():
            with contextlib.suppress(labs.Unreadable):
                if any(host.alive for host in labs.load(name).hosts):
                    raise InputError("lab", f"{name} is up already", f"orch lab down {name}")
            _down(name)
        path.mkdir(mode=0o700)
        with guard.over(path, f"{labs.MARK}={path}", lock):
            try:
                return make(path)
            except BaseException:
                _down(name)
                raise


def down(name: str) -> list[str]:
    """End everything of the lab and remove its state. Returns a line for each thing worth knowing.
    Raises InputError where there is no such lab."""
    with labs.locked(name):
        return _down(name)


def _down(name: str) -> list[str]:
    path = labs.labs_dir() / name
    if not path.is_dir():
        raise labs.no_lab(name)
    said = []
    try:
        lab = labs.load(name)
        kind = kind_of(lab)
        for host in lab.hosts:
            kind.end(lab, host)
        kind.leave(lab)
    except labs.Unreadable as e:
        said.append(f"{e.what}; ended what carries its mark")
    left = processes.end_marked(f"{labs.MARK}={path}")
    if left:
        said.append(f"ended {left} process(es) that had left their host")
    labs.forget(name)
    return said


def kill(name: str, host: str) -> Lab:
    """The host dies, with everything on it, without a goodbye."""
    from orchestrator.lab.faults import befall

    return befall(name, "kill", host)


def revive(name: str, host: str) -> Lab:
    """Start a dead host again: same address, same keys, same disk."""
    from orchestrator.lab.faults import befall

    return befall(name, "revive", host)
