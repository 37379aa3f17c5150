"""Hosts of a lab are dialled from inside that lab only: its addresses mean something else, or nothing, outside."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator.errors import Unreachable
from orchestrator.model.address import Address
from orchestrator.transport.known_hosts import state_dir


def check(address: Address) -> None:
    """Raises Unreachable where ``address`` belongs to a lab that is not up, or whose network we are not in."""
    if address.lab is None:
        return
    try:
        state = json.loads((state_dir() / "labs" / address.lab / "lab.json").read_text())
        network = int(state["network"])
        up = network == 0 or _lives(state["rack"]["pid"], state["rack"]["started"])
    except (OSError, ValueError, KeyError, TypeError):
        up = False
    if not up:
        raise Unreachable(address.name, f"lab {address.lab} is not up", f"orch lab status {address.lab}")
    if network not in (0, Path("/proc/self/ns/net").stat().st_ino):
        what = f"its address is dialled in the network of lab {address.lab} only"
        way = f"-i lab:{address.lab} goes there by itself, `orch lab exec {address.lab} controller -- …` with any command"
        raise Unreachable(address.name, what, way)


def _lives(pid: int, started: int) -> bool:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) == started
