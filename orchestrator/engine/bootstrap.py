"""Hosts made ready for Ray without Ray and without internet there: wheels and `uv` shipped as blobs, an environment made of them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bundle.agent import agent_zipapp
from orchestrator.bundle.wheelhouse import Wheelhouse
from orchestrator.engine.ship import blob_path, ship
from orchestrator.engine.survey import FORKS, on_each
from orchestrator.errors import LinkError, RemoteFailed
from orchestrator.fleet import preflight
from orchestrator.model.address import Address
from orchestrator.transport import open_retrying

_MAKE_S = 600.0
_ASK_S = 20.0


@dataclass(frozen=True)
class Ready:
    """``environment``: its folder on the host; ``made`` False where it was there already."""

    environment: str
    made: bool
    bytes_sent: int
    seconds: float


def bootstrap(
    addresses: Iterable[Address], house: Wheelhouse, *, agent: Path | None = None, forks: int = FORKS
) -> dict[str, Ready | LinkError]:
    """At most ``forks`` hosts at a time. A second time nothing is sent and nothing made."""
    archive = agent or agent_zipapp()
    return on_each(addresses, lambda address: _one(address, house, archive), forks)


def _one(address: Address, house: Wheelhouse, agent: Path) -> Ready:
    began = time.monotonic()
    with contextlib.closing(open_retrying(address)) as link:
        state = preflight.probe(link, address.python, address.spool, address.pace)
        order = house.order()
        # whole, or not there at all; and then it is no matter that it has left little room for another
        there = f"{state.values.get('spool', '')}/env/{order['key']}"
        if link.run(["test", "-d", there], timeout_s=_ASK_S).exit == 0:
            return Ready(there, made=False, bytes_sent=0, seconds=time.monotonic() - began)
        _refuse(address.name, state, house)
        blobs = {agent.stem: agent, **house.files}
        # wheels are packed already
        shipped = ship(link, blobs, address.spool, pack=False)
        argv = [address.python, blob_path(shipped.spool, agent.stem), "environment", "--spool", shipped.spool]
        done = link.run(argv, stdin=json.dumps(order).encode(), timeout_s=_MAKE_S)
    if done.exit != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        words = said[-1].removeprefix("orch agent: ") if said else f"exit {done.exit}"
        raise RemoteFailed(address.name, f"no environment could be made: {words}", "see: orch hosts doctor")
    answer = json.loads(done.stdout.splitlines()[-1])
    return Ready(answer["environment"], answer["made"], shipped.bytes_sent, time.monotonic() - began)


def _refuse(host: str, said: preflight.Said, house: Wheelhouse) -> None:
    """Raises RemoteFailed before anything is sent to a host for which these wheels are not."""
    found = [
        f for f in preflight.findings(host, said, preflight.Wanted(ports=())) if f.level == preflight.FAILURE
    ]
    if found:
        raise RemoteFailed(host, found[0].what, found[0].hint)
    python, arch = said.values.get("python", ""), said.values.get("arch", "")
    if python.split(".")[:2] != house.python.split(".") or arch != house.arch:
        what = f"Python {python} on {arch}: the wheels are for {house.python} on {house.arch}"
        raise RemoteFailed(
            host, what, f"it is driven over SSH; to join, set `python:` of {host} to a {house.python}"
        )
