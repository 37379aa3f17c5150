"""The hosts of a run as nodes of its Ray cluster: joined over SSH, and parted from it without a trace.

A host that cannot join is driven over SSH from the controller: that is no failure, and it is said why.
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from agents.wire import dumps
from orchestrator.bundle.agent import seat_archive
from orchestrator.engine.ship import blob_path
from orchestrator.engine.survey import on_each
from orchestrator.engine.unit import Unit
from orchestrator.errors import LinkError, RemoteFailed
from orchestrator.fleet import lease
from orchestrator.fleet.certificates import Authority
from orchestrator.fleet.cluster import HOST_LABEL, NODE_ADDRESS, node_options, node_settings
from orchestrator.model.address import Address
from orchestrator.model.plan import ClusterPlan
from orchestrator.transport import Link, Opener, open_link

#: What Ray takes as key and as value of a label; other labels of the inventory are not the node's.
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)

JOIN_S = 240.0
PART_S = 60.0


@dataclass(frozen=True)
class Admission:
    """What a node needs to be let in. ``head``: HOST:PORT; ``authority`` None where the cluster does not speak TLS."""

    head: str
    token: str
    plan: ClusterPlan
    authority: Authority | None = None


#: (what lets them in, which hosts or None for all) → those that have joined.
Join = Callable[[Admission, Sequence[str] | None], list[str]]


@dataclass(frozen=True)
class Member:
    """A host that is to join: where agent and archive of the seat lie there, and its absolute spool."""

    address: Address
    spool: str
    agent: str
    seat: str


class Nodes:
    """Of one run. ``why``: host → why it has not joined."""

    def __init__(self, run: str, members: Sequence[Member], forks: int, opener: Opener = open_link) -> None:
        self._run, self._forks, self._opener = run, forks, opener
        self._members = {m.address.name: m for m in members}
        self.why: dict[str, str] = {}
        #: a host that is lost joins again from another thread
        self._busy = threading.Lock()
        self._over = False

    def __bool__(self) -> bool:
        return bool(self._members)

    def join(self, admission: Admission, only: Sequence[str] | None = None) -> list[str]:
        """The hosts that have joined, of ``only`` or all; bounded in time, at most ``forks`` at a time. None once they have parted."""
        with self._busy:
            return [] if self._over else self._joined(admission, only)

    def _joined(self, admission: Admission, only: Sequence[str] | None) -> list[str]:
        asked = [m.address for h, m in self._members.items() if only is None or h in only]
        answers = on_each(asked, lambda a: self._join(self._members[a.name], admission), self._forks)
        joined = []
        for host, answer in answers.items():
            why = answer.what if isinstance(answer, LinkError) else answer
            self.why[host] = why
            if not why:
                joined.append(host)
        return joined

    def part(self) -> dict[str, str]:
        """End them all: host → what could not be ended, empty where nothing is left."""
        self._over = True
        addresses = [m.address for m in self._members.values()]
        with self._busy:
            answers = on_each(addresses, lambda a: self._part(self._members[a.name]), self._forks)
        return {h: a.what if isinstance(a, LinkError) else a for h, a in answers.items()}

    def _join(self, member: Member, admission: Admission) -> str:
        import ray

        plan = admission.plan
        address = _literal(member.address.host or member.address.name, resolve=plan.tls)
        if plan.tls and not address:
            return "what it is dialled by has no address, and a certificate needs one: set `ssh.host`"
        papers = admission.authority.papers(address) if admission.authority is not None else None
        order = {
            "run": self._run,
            "head": admission.head,
            "token": admission.token,
            "python": member.address.ray,
            "ray_version": ray.__version__,
            "python_version": platform.python_version(),
            "labels": _labels(member.address),
            "object_store_bytes": plan.object_store_bytes,
            "path": member.seat,
            "address": address,
            "options": node_options(plan),
            "env": node_settings(plan),
            "files": papers.files() if papers is not None else {},
        }
        answer = _ask(self._opener, member, ["join"], dumps(order).encode(), JOIN_S)
        return str(answer["why"])

    def _part(self, member: Member) -> str:
        answer = _ask(self._opener, member, ["part", "--run", self._run], b"", PART_S)
        return f"still running: {answer['left']}" if answer["left"] else ""


class Joining(Protocol):
    """Seats that can be on hosts: `engine.driver`."""

    nodes: int

    def join(self, join: Join) -> None: ...


@contextlib.contextmanager
def joined(
    seats: Joining,
    units: Sequence[Unit],
    forks: int,
    note: Callable[[str, dict[str, Any]], object],
    say: Callable[[str], None],
    plan: ClusterPlan,
    opener: Opener = open_link,
) -> Iterator[None]:
    """The hosts of these units that are to join, as nodes for as long as the body takes."""
    asked = [u for u in units if u.address.ray]
    if not asked:
        yield
        return
    seat = seat_archive().stem
    members = {u.address.name: _member(u, seat) for u in asked}
    nodes = Nodes(units[0].run, list(members.values()), forks, opener)
    say(f"{len(members)} host(s) join the Ray cluster")
    try:
        seats.join(nodes.join)
        note("cluster", {"nodes": seats.nodes, **asdict(plan)})
        for host in members:
            why = nodes.why.get(host, "there was no head")
            note("node", {"host": host, "status": "apart" if why else "joined", "reason": why})
            if why:
                say(f"{host}: driven over SSH: {why}")
        yield
    finally:
        for host, left in nodes.part().items():
            note("node", {"host": host, "status": "left" if left else "parted", "reason": left})
            if left:
                say(f"{host}: its Ray node is left: {left}")


def _member(unit: Unit, seat: str) -> Member:
    return Member(unit.address, unit.spool, unit.agent, blob_path(unit.spool, seat))


def _ask(
    opener: Opener, member: Member, words: Sequence[str], stdin: bytes, timeout_s: float
) -> dict[str, Any]:
    argv = [member.address.python, member.agent, words[0], "--spool", member.spool, *words[1:]]
    with contextlib.closing(opener(member.address)) as link:
        return answer_of(link, argv, stdin, timeout_s)


def answer_of(link: Link, argv: Sequence[str], stdin: bytes, timeout_s: float) -> dict[str, Any]:
    """The agent's line of JSON. Raises `LinkError`."""
    done = link.run(argv, stdin=stdin, timeout_s=timeout_s)
    if done.exit != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RemoteFailed(link.host, said[-1] if said else f"exit status {done.exit}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer if isinstance(answer, dict) else {}


def apart(link: Link, agent: Path, address: Address) -> str:
    """Why the host does not join a cluster, empty where it does. Nothing is left there. Raises `LinkError`."""
    import ray

    if address.local:
        return ""
    if not address.ray:
        return "`ray:` is not set in the inventory"
    words = ["--python", address.ray, "--ray", ray.__version__, "--version", platform.python_version()]
    return str(lease.ask(link, agent, address, "fit", words, placed=False)["why"])


def head_address(addresses: Iterable[Address]) -> str:
    """This machine's address on the way to the first host that is to join, for the head; nothing is sent. Where none is to
    join, one that nobody outside reaches."""
    for address in addresses:
        if not address.ray or address.local:
            continue
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((address.host or address.name, address.port or 22))
            return str(s.getsockname()[0])
    return NODE_ADDRESS


def _literal(host: str, *, resolve: bool = False) -> str:
    """An address as it is, with ``resolve`` also that of a name; empty where there is none."""
    with contextlib.suppress(ValueError):
        return str(ip_address(host))
    if resolve:
        # the latter: what can be no name
        with contextlib.suppress(OSError, UnicodeError):
            return str(socket.gethostbyname(host))
    return ""


def _labels(address: Address) -> dict[str, str]:
    """Those of the inventory that Ray can have, and the one by which the node is found."""
    legal = {k: v for k, v in address.labels.items() if _LABEL.fullmatch(k) and _LABEL.fullmatch(v)}
    return {**legal, HOST_LABEL: address.name}
