"""What hosts said of themselves the last time that they were asked: kept on this machine, with its age.

ORCH_STATE/facts/<digest>.json, a file for each way to a host. Only who says how old they may be gets facts from here; a run asks
its hosts anew, for what it does must fit what is there. What cannot be read or kept is asked for again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

from agents.wire import Facts, WireError, decode
from orchestrator.model.address import Address
from orchestrator.transport.known_hosts import state_dir


def remember(address: Address, facts: Facts) -> None:
    """Keep what the host has just said."""
    path = _file(address)
    text = json.dumps({"host": address.name, "asked": time.time(), "facts": asdict(facts)}, sort_keys=True)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text + "\n")
        temporary.replace(path)


def recall(address: Address, max_age_s: float) -> tuple[Facts, float] | None:
    """What the host said at most so many seconds ago, and how many; None where there is nothing, or it comes from the future."""
    try:
        said = json.loads(_file(address).read_bytes())
        age = time.time() - float(said["asked"])
        return (decode(Facts, said["facts"]), age) if 0 <= age <= max_age_s else None
    except (OSError, ValueError, KeyError, TypeError, WireError):
        return None


def _file(address: Address) -> Path:
    """The same host by the same way, as the same user and under the same interpreter."""
    way = [
        *(address.name, address.local, address.host, address.port, address.user, address.jump),
        *(address.become, address.python, address.spool, address.lab),
    ]
    digest = hashlib.sha256(json.dumps(way).encode()).hexdigest()
    return state_dir() / "facts" / f"{digest[:32]}.json"
