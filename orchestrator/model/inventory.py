"""The inventory: hosts, groups, and the patterns that select hosts.

    hosts:                       # name: settings, in the order in which hosts are used
      n1: {ssh: {host: 192.0.2.11}, labels: {rack: a}}
    groups:
      numa: {hosts: [n1], vars: {owner: storage}}
      all-of-it: {children: [numa]}
    ssh: {user: bench}           # settings at the top are for every host

Settings of a host are stronger than its groups', a group's stronger than those of a group around it, and
all are stronger than the top's.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from orchestrator.errors import InputError
from orchestrator.model import yamlsource
from orchestrator.model.address import ANY_RAY, DEFAULT_SPOOL, Address
from orchestrator.model.checks import Problem
from orchestrator.model.cluster import ClusterSpec
from orchestrator.model.fields import Duration, Name, Strict
from orchestrator.model.names import nearest
from orchestrator.model.said import problems_of
from orchestrator.model.units import duration, kind
from orchestrator.model.yamlsource import Source

#: What is used without an inventory: the same as inventory/local.yml.
LOCAL = """\
# This machine, without SSH: what is used where no inventory is named.
hosts:
  local:
    local: true
"""
EXECUTABLE_TIMEOUT_S = 60.0


def _user_to_become(value: Any) -> Any:
    """sudo reads a name that begins with # as a number, and one with a dash would be an option."""
    if isinstance(value, bool) or (
        isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", value)
    ):
        return value
    raise ValueError("expected true, false, or the name of a user")


class SshSpec(Strict):
    """How to get in. There is no password here on purpose: keys and agents only."""

    host: str | None = Field(default=None, min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    user: str | None = Field(default=None, min_length=1)
    key: str | None = Field(default=None, min_length=1)
    agent: bool | None = None
    config: str | None = Field(default=None, min_length=1)
    known_hosts: str | None = Field(default=None, min_length=1)
    jump: str | None = Field(default=None, min_length=1)
    timeout: Duration | None = None


class HostSpec(Strict):
    ssh: SshSpec | None = None
    local: bool | None = None
    become: Annotated[Any, AfterValidator(_user_to_become)] = None
    python: str | None = Field(default=None, min_length=1)
    spool: str | None = Field(default=None, min_length=1)
    leases: str | None = Field(default=None, pattern="^/")
    labels: dict[str, str] | None = None
    reboot: list[str] | None = Field(default=None, min_length=1)
    emulated: bool | None = None
    ray: bool | str | None = None
    lab: str | None = None
    vars: dict[str, Any] | None = None


class GroupSpec(HostSpec):
    hosts: dict[Name, HostSpec] = Field(default={})
    children: list[str] = Field(default=[])


class InventoryFile(HostSpec):
    cluster: ClusterSpec | None = None
    hosts: dict[Name, HostSpec] = Field(default={})
    groups: dict[Name, GroupSpec] = Field(default={})


class PatternError(ValueError):
    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True)
class Inventory:
    """Hosts in the order of the file. ``groups`` holds every group with its hosts, children's included,
    in that order too; ``all`` and ``ungrouped`` are among them."""

    hosts: Mapping[str, Address]
    groups: Mapping[str, tuple[str, ...]]
    vars: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    file: str = ""
    cluster: ClusterSpec | None = None

    def select(self, pattern: str) -> list[str]:
        """Names of hosts that ``pattern`` means: groups, hosts and globs, joined by ``:`` or ``,``;
        ``&`` before one: only those in it too; ``!``: not those. Raises PatternError where a name is not
        known, or where nothing is left."""
        parts = [p.strip() for p in re.split(r"[:,]", pattern)]
        if not any(parts):
            raise PatternError("an empty host pattern", "such as all")
        chosen: set[str] = set()
        if all(p.startswith(("&", "!")) for p in parts if p):
            chosen = set(self.hosts)
        for part in parts:
            if part and part[0] not in "&!":
                chosen |= self._named(part)
        for part in parts:
            if part.startswith("&"):
                chosen &= self._named(part[1:])
        for part in parts:
            if part.startswith("!"):
                chosen -= self._named(part[1:])
        if not chosen:
            raise PatternError(f"host pattern {pattern!r} leaves no host", f"of {len(self.hosts)}")
        return [h for h in self.hosts if h in chosen]

    def _named(self, name: str) -> set[str]:
        if name in self.groups:
            return set(self.groups[name])
        if name in self.hosts:
            return {name}
        if any(c in name for c in "*?["):
            found = {h for h in self.hosts if fnmatch.fnmatchcase(h, name)}
            for group in fnmatch.filter(self.groups, name):
                found |= set(self.groups[group])
            if found:
                return found
        close = nearest(name, [*self.groups, *self.hosts])
        raise PatternError(f"no host or group {name!r} in {self.file or 'the inventory'}", close)


def read_inventory(path: Path | None) -> tuple[Inventory | None, list[InputError]]:
    """None and every error where there are some. An executable file is run, and its output read."""
    if path is None:
        return _parse("(this machine)", LOCAL, Path())
    try:
        program = os.access(path, os.X_OK) and path.is_file()
        text = _output_of(path) if program else path.read_text()
    except InputError as e:
        return None, [e]
    except (OSError, UnicodeDecodeError) as e:
        reason = (e.strerror or str(e)) if isinstance(e, OSError) else "not UTF-8 text"
        return None, [InputError(str(path), f"cannot be read: {reason}")]
    return _parse(f"{path} (what it printed)" if program else str(path), text, path.parent)


def _output_of(path: Path) -> str:
    try:
        ran = subprocess.run(
            [str(path.resolve())], capture_output=True, check=False, timeout=EXECUTABLE_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as e:
        raise InputError(str(path), f"gave no inventory within {EXECUTABLE_TIMEOUT_S:g} s") from e
    except OSError as e:
        hint = "is it an inventory in YAML? then take its x bit away" if e.errno == errno.ENOEXEC else ""
        if e.errno == errno.ENOENT:
            hint = "is there the program that its first line names?"
        raise InputError(str(path), f"cannot be run: {e.strerror}", hint) from e
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip().splitlines()
        how = f"exit status {ran.returncode}" if ran.returncode > 0 else f"ended by signal {-ran.returncode}"
        raise InputError(str(path), how, said[-1] if said else "")
    try:
        return ran.stdout.decode()
    except UnicodeDecodeError as e:
        raise InputError(str(path), "printed no text in UTF-8") from e


def _parse(file: str, text: str, folder: Path) -> tuple[Inventory | None, list[InputError]]:
    source, errors = yamlsource.read(file, text)
    if source.value is None:
        return None, errors
    if not isinstance(source.value, dict):
        return None, [source.error((), f"expected an inventory, got {kind(source.value)}")]
    errors += [_error(source, p) for p in _twice(source.value)]
    raw = _plain(source.value)
    try:
        read = InventoryFile.model_validate(raw)
    except ValidationError as e:
        errors += [_error(source, p) for p in problems_of(InventoryFile, e)]
        return None, yamlsource.in_order(errors)
    built = _Builder(raw, folder)
    errors += [_error(source, p) for p in built.problems()]
    if errors:
        return None, yamlsource.in_order(errors)
    return replace(built.inventory(file), cluster=read.cluster), []


def _error(source: Source, problem: Problem) -> InputError:
    path, hint = problem.path, problem.hint
    if path and path[-1] == "[key]":
        path = path[:-1]
    if path and path[-1] in ("password", "pass", "passphrase"):
        hint = "secrets have no place in an inventory: use a key file or an agent"
    return source.error(path, problem.what, hint)


def _twice(value: dict[str, Any]) -> Iterator[Problem]:
    """Hosts that a list names more than once; of mappings `yamlsource` says so."""
    groups = value.get("groups")
    parts: list[tuple[tuple[str, ...], Any]] = [(("hosts",), value.get("hosts"))]
    for name, group in groups.items() if isinstance(groups, dict) else ():
        parts.append((("groups", name, "hosts"), group.get("hosts") if isinstance(group, dict) else None))
    for path, hosts in parts:
        for i, host in enumerate(hosts if isinstance(hosts, list) else ()):
            if host in hosts[:i]:
                yield Problem((*path, i), f"host {host!r} is given twice", "leave one out")


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Hosts without settings, and lists of hosts, as mappings."""
    made = {**value, "hosts": _hosts(value.get("hosts"))}
    groups = value.get("groups")
    if isinstance(groups, dict):
        made["groups"] = {
            name: {**spec, "hosts": _hosts(spec.get("hosts"))} if isinstance(spec, dict) else spec or {}
            for name, spec in groups.items()
        }
    elif "groups" in made and groups is None:
        made["groups"] = {}
    return made


def _hosts(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {k: {} if v is None else v for k, v in value.items()}
    return value


_SETTINGS = tuple(HostSpec.model_fields)


@dataclass
class _Builder:
    """Hosts and groups of a file whose shape is right."""

    raw: dict[str, Any]
    folder: Path

    def __post_init__(self) -> None:
        self.groups: dict[str, Any] = self.raw.get("groups", {})
        everywhere = [self.raw, *self.groups.values()]
        self.order = list(dict.fromkeys(h for part in everywhere for h in part.get("hosts", {})))
        self.declared = set(self.raw["hosts"])
        self.parents: dict[str, list[str]] = {}
        #: host → the groups that name it
        self.direct: dict[str, list[str]] = {}
        for name, group in self.groups.items():
            for child in group.get("children", []):
                self.parents.setdefault(child, []).append(name)
            for host in group.get("hosts", {}):
                self.direct.setdefault(host, []).append(name)

    def problems(self) -> Iterator[Problem]:
        if not self.order:
            yield Problem(("hosts",), "there is no host")
        for name, group in self.groups.items():
            if name in ("all", "ungrouped"):
                yield Problem(("groups", name), f"{name!r} is there by itself", "put its settings at the top")
            if name in self.order:
                yield Problem(("groups", name), f"{name!r} is a host already")
            yield from self._unknown_members(name, group)
        for name in self.groups:
            if name in self._above(name):
                yield Problem(("groups", name, "children"), f"group {name!r} contains itself")
                return
        for host in self.order:
            merged = self._settings(host)
            if merged.get("local") and self.raw["hosts"].get(host, {}).get("ssh"):
                yield Problem(("hosts", host), "is both `local` and reached over `ssh`", "leave one out")
            if merged.get("local") and merged.get("reboot"):
                yield Problem(("hosts", host), "`reboot` is for other hosts than this machine")
            if merged.get("local") and merged.get("become"):
                yield Problem(("hosts", host), "`become` is for hosts over ssh", "run orch itself by sudo")

    def _unknown_members(self, name: str, group: dict[str, Any]) -> Iterator[Problem]:
        for i, child in enumerate(group.get("children", [])):
            if child not in self.groups:
                path = ("groups", name, "children", i)
                yield Problem(path, f"no group {child!r}", nearest(child, self.groups))
        # a name in a group that the top does not know is a slip where the top lists hosts at all
        for host, settings in group.get("hosts", {}).items():
            if self.declared and host not in self.declared and not settings:
                yield Problem(
                    ("groups", name, "hosts", host), f"no host {host!r}", nearest(host, self.declared)
                )

    def inventory(self, file: str) -> Inventory:
        members: dict[str, set[str]] = {}
        for name in self.groups:
            for group in (name, *self._above(name)):
                members.setdefault(group, set()).update(self.groups[name].get("hosts", {}))
        grouped = {h for hosts in members.values() for h in hosts}
        groups = {"all": tuple(self.order), "ungrouped": tuple(h for h in self.order if h not in grouped)}
        groups |= {n: tuple(h for h in self.order if h in members.get(n, ())) for n in self.groups}
        settings = {h: self._settings(h) for h in self.order}
        return Inventory(
            hosts={h: self._address(h, s) for h, s in settings.items()},
            groups=groups,
            vars={h: s["vars"] for h, s in settings.items() if s.get("vars")},
            file=file,
        )

    def _above(self, name: str) -> list[str]:
        """Groups around a group, the nearest first; the group itself where it is in a circle."""
        found: list[str] = []
        todo = list(self.parents.get(name, []))
        while todo:
            parent = todo.pop(0)
            if parent not in found:
                found.append(parent)
                todo += self.parents.get(parent, [])
        return found

    def _settings(self, host: str) -> dict[str, Any]:
        """Of the host, merged: the top, groups from the outermost, then its own."""
        layers = [self.raw]
        direct = self.direct.get(host, [])
        around = list(dict.fromkeys(g for d in direct for g in reversed(self._above(d))))
        layers += [self.groups[g] for g in [*(g for g in around if g not in direct), *direct]]
        layers += [self.groups[g]["hosts"][host] for g in direct]
        layers.append(self.raw["hosts"].get(host, {}))
        made: dict[str, Any] = {}
        for layer in layers:
            for key in _SETTINGS:
                value = layer.get(key)
                if value is None:
                    continue
                made[key] = {**made.get(key, {}), **value} if isinstance(value, dict) else value
        return made

    def _address(self, name: str, merged: dict[str, Any]) -> Address:
        ssh = merged.get("ssh", {})
        timeout = ssh.get("timeout")
        return Address(
            name=name,
            local=merged.get("local", False),
            host=ssh.get("host", ""),
            port=ssh.get("port"),
            user=ssh.get("user"),
            key=self._path(ssh.get("key")),
            agent=ssh.get("agent", True),
            config=self._path(ssh.get("config")),
            known_hosts=self._path(ssh.get("known_hosts")),
            jump=ssh.get("jump"),
            become="root" if merged.get("become") is True else merged.get("become") or None,
            python=merged.get("python", "python3"),
            spool=merged.get("spool", DEFAULT_SPOOL),
            leases=merged.get("leases", ""),
            ray=_ray(merged.get("ray", False)),
            connect_timeout_s=10.0 if timeout is None else duration(timeout),
            reboot=tuple(merged.get("reboot", ())),
            emulated=merged.get("emulated", False),
            labels=merged.get("labels", {}),
            lab=merged.get("lab"),
        )

    def _path(self, text: str | None) -> Path | None:
        """Relative to the inventory's folder; ``~`` is the user's home."""
        return None if text is None else self.folder / Path(text).expanduser()


def _ray(asked: bool | str) -> str:
    return asked if isinstance(asked, str) else ANY_RAY if asked else ""


def written(address: Address) -> dict[str, Any]:
    """The settings of a host as an inventory writes them: what reads back as the same address. An address
    holds nothing secret, but the path of a key."""
    ssh = {
        "host": address.host or None,
        "port": address.port,
        "user": address.user,
        "key": _absolute(address.key),
        "agent": None if address.agent else False,
        "config": _absolute(address.config),
        "known_hosts": _absolute(address.known_hosts),
        "jump": address.jump,
        "timeout": f"{address.connect_timeout_s:g}s",
    }
    settings = {
        "local": address.local or None,
        "become": address.become,
        "ssh": None if address.local else {k: v for k, v in ssh.items() if v is not None},
        "python": address.python,
        "spool": address.spool,
        "leases": address.leases or None,
        "ray": True if address.ray == ANY_RAY else address.ray or None,
        "labels": dict(address.labels) or None,
        "reboot": list(address.reboot) or None,
        "emulated": address.emulated or None,
        "lab": address.lab,
    }
    return {k: v for k, v in settings.items() if v is not None}


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
