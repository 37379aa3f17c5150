"""What the controller asks of a host about its lease: take it, show it, give it back. Answers as JSON objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Optional

from agents import keeper, lease, tune
from agents.lease import Place, Record

#: The host's own place for leases and for what tuning has changed; the same for all of its users.
PLACE = "/tmp/orch-lease"  # noqa: S108 - every user of the host must find the same


def take(place: Place, wanted: Record, lasts_s: float) -> Dict[str, Any]:
    """{held, lease, beat, keeper, put_in_order}: ``lease`` is the holder's, whoever it is; ``put_in_order`` what an
    expired lease had left, None where there was none. Raises OSError where the host cannot do it."""
    held, before = lease.take(place, wanted, lasts_s)
    if not held:
        return {"held": False, "lease": lease.described(before, lease.uptime()), "put_in_order": None}
    record = place.read()
    if record is None or record.id != wanted.id:
        return {"held": False, "lease": lease.described(record, lease.uptime()), "put_in_order": None}
    pid = record.keeper if record.is_kept() else keeper.keep(place, record)
    kept = lease.adopt(place, record, pid)
    found = _clear(place, before, wanted.id)
    return {
        "held": kept,
        "lease": lease.described(place.read(), lease.uptime()),
        "beat": str(lease.beat_file(Path(record.spool), record.id)),
        "keeper": pid,
        "put_in_order": found,
    }


def show(place: Place) -> Dict[str, Any]:
    """{lease, tuned}: None and false where nobody holds the host, and nothing is left to put back."""
    now = place.read()
    return {"lease": lease.described(now, lease.uptime()), "tuned": tune.Tuner(place).file.exists()}


def release(place: Place, spool: Path, name: Optional[str]) -> Dict[str, Any]:
    """{released, lease, stopped, orphans, restored, not_restored}. ``name`` None: whoever holds it; ``lease`` is then who that was."""
    record = place.read()
    nothing: Dict[str, Any] = {"stopped": [], "orphans": []}
    shown = lease.described(record, lease.uptime()) if place.folder.is_dir() else None
    if record is None or (name is not None and record.id != name):
        return {"released": False, "lease": shown, **nothing, **tune.Tuner(place).restore(name)}
    if os.geteuid() not in (0, record.owner):
        return {"released": False, "lease": shown, **nothing, "restored": [], "not_restored": {}}
    if record.owner == os.geteuid():
        done = keeper.put_in_order(place, record)
        keeper.dismiss(record)
    else:
        done = {**nothing, **tune.Tuner(place).restore(record.id)}
    gone = lease.drop(place, record.id, Path(record.spool) if record.owner == os.geteuid() else spool)
    return {"released": gone, "lease": shown, **done}


def _clear(place: Place, before: Optional[Record], mine: str) -> Optional[Dict[str, Any]]:
    """What the last holder has left, where he has left something."""
    left = tune.Tuner(place)
    if before is None and not left.file.exists():
        return None
    done: Dict[str, Any] = {"stopped": [], "orphans": []}
    # a record is believed where it is our own: anybody could have written that of another user
    if before is not None and before.owner == os.geteuid():
        done = keeper.put_in_order(place, before)
        keeper.dismiss(before)
    if before is not None and before.id == mine:
        return None
    rest = left.restore(None)
    restored = done.get("restored", []) + rest["restored"]
    return {**done, "restored": restored, "not_restored": rest["not_restored"]}
