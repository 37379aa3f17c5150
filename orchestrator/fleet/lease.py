"""The lease of one host, over a `Link`: taken, kept alive, shown, given back; and its settings.

The agent travels as bytes on standard input, so that a host can be asked before anything was shipped, which would disturb
whoever measures there. What keeps the lease on the host is `agents.keeper`; a sign of life from here is one line that a
shell writes.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.bootstrap import BOOTSTRAP
from orchestrator.errors import RemoteFailed
from orchestrator.model.address import Address
from orchestrator.model.plan import LeasePlan
from orchestrator.transport import Link

ASK_S = 60.0
BEAT_S = 20.0
#: Exit statuses of a beat: what it was for is gone, or nobody keeps it.
ENDED, UNKEPT = 3, 4
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Writes the seconds since boot into the file of signs, in place: it has either the old ones or the new.
_BEAT = """
read -r up rest </proc/uptime || exit 5
[ -f "$1" ] || exit 3
echo "$up" 1<>"$1" || exit 5
kill -0 "$2" 2>/dev/null || exit 4
"""


@dataclass(frozen=True)
class Held:
    """A host that is ours. ``put_in_order``: what an expired lease had left there, None where nothing."""

    id: str
    beat: str
    keeper: int
    until: float
    put_in_order: Mapping[str, Any] | None


@dataclass(frozen=True)
class Busy:
    """A host that another holds. Times are the host's wall clock, seconds since the epoch."""

    who: str
    run: str
    what: str
    since: float
    until: float


def holder() -> str:
    """Who we are, for whoever finds a host taken."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def id_of(run: str, host: str) -> str:
    """The same whenever the run is resumed: what it still holds it goes on with."""
    return f"{run}.{hashlib.sha256(host.encode()).hexdigest()[:8]}"


def take(link: Link, agent: Path, address: Address, lease: LeasePlan, run: str, name: str) -> Held | Busy:
    """``name``: a new id, or the one that it is held under already. Raises `LinkError`."""
    words = ["--id", name, "--who", holder(), "--run", run, "--what", lease.what or run]
    words += ["--ttl", f"{lease.ttl_s:g}", "--for", f"{lease.longest_s:g}"]
    said = ask(link, agent, address, "take", words)
    about = said.get("lease") or {}
    if not said["held"]:
        return busy(about)
    return Held(name, said["beat"], int(said["keeper"]), float(about.get("until", 0.0)), said["put_in_order"])


def busy(about: Mapping[str, Any]) -> Busy:
    """Of the agent's description of a lease."""
    who, run, what = (str(about.get(key, "")) for key in ("who", "run", "what"))
    return Busy(who, run, what, float(about.get("since", 0.0)), float(about.get("until", 0.0)))


def beat(link: Link, held: Held, pace: float = 1.0) -> int:
    """``pace``: see `Address.pace`. 0, or `ENDED`, or `UNKEPT`. Raises `LinkError`."""
    done = link.run(["sh", "-c", _BEAT, "beat", held.beat, str(held.keeper)], timeout_s=BEAT_S * pace)
    if done.exit not in (0, ENDED, UNKEPT):
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise RemoteFailed(link.host, f"no sign of life can be left there: {words[-1:] or done.exit}")
    return done.exit


def show(link: Link, agent: Path, address: Address) -> dict[str, Any]:
    """{lease, tuned}; see `agents.hold`."""
    return ask(link, agent, address, "lease", [])


def release(link: Link, agent: Path, address: Address, name: str | None) -> dict[str, Any]:
    """``name`` None: whoever holds it. See `agents.hold` for the answer."""
    return ask(link, agent, address, "release", [] if name is None else ["--id", name])


def give_back(link: Link, agent: Path, address: Address, *, sweep: bool, force: bool) -> dict[str, Any]:
    """What `release` says, and ``kept``: somebody keeps the lease and nothing was done; ``left``: what still runs after a
    sweep; ``clean``: nothing of ours is left to do. ``force``: whoever keeps it."""
    lease = show(link, agent, address)["lease"]
    done: dict[str, Any] = {"lease": lease, "released": False, "not_restored": {}, "kept": False, "left": []}
    done.update({key: [] for key in ("stopped", "orphans", "restored")})
    if lease is not None and lease["kept"] and not force:
        return {**done, "kept": True, "clean": False}
    done.update(release(link, agent, address, None))
    if sweep:
        first = ask(link, agent, address, "sweep", ["--live"], placed=False)
        again = ask(link, agent, address, "sweep", ["--live"], placed=False)
        for key in ("stopped", "orphans"):
            done[key] = [*done[key], *first[key]]
        done["left"] = [*again["stopped"], *again["orphans"]]
    clean = not done["not_restored"] and not done["left"] and (lease is None or done["released"])
    return {**done, "clean": clean}


def tune(link: Link, agent: Path, address: Address, name: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    """{settings: name → {asked, before, after, ok, why}, not_restored}. A host of a lab that runs on the kernel of this very
    machine is not touched: whoever tries a playbook there does not mean his own machine."""
    if address.lab is not None and _runs_on_our_kernel(link, BEAT_S * address.pace):
        why = f"the hosts of lab {address.lab} have the kernel of this machine, which is left alone"
        untouched = {"before": "", "after": "", "ok": False, "why": why}
        return {
            "settings": {key: {"asked": value, **untouched} for key, value in wanted.items()},
            "not_restored": {},
        }
    pairs = ";".join(f"{key}={value}" for key, value in wanted.items())
    return ask(link, agent, address, "tune", ["--id", name, "--set", pairs])


def _runs_on_our_kernel(link: Link, limit_s: float) -> bool:
    told = link.run(["cat", str(_BOOT_ID)], timeout_s=limit_s)
    return told.stdout.strip() == _BOOT_ID.read_bytes().strip()


def place(address: Address) -> str:
    """Where the lease lies, empty for the agent's own choice. Hosts of a lab may share one machine: there it lies in the
    spool. ``ORCH_LEASES`` says it for this machine, for tests."""
    if address.leases:
        return address.leases
    if address.lab is not None:
        return f"{address.spool}/place"
    return os.environ.get("ORCH_LEASES", "") if address.local else ""


def ask(
    link: Link, agent: Path, address: Address, verb: str, words: Sequence[str], *, placed: bool = True
) -> dict[str, Any]:
    """The agent's answer. Raises `LinkError`; RemoteFailed where it says no, or what is no answer."""
    where = place(address)
    argv = [address.python, "-c", BOOTSTRAP, verb, "--spool", address.spool, *words]
    argv += ["--place", where] if where and placed else []
    done = link.run(argv, stdin=agent.read_bytes(), timeout_s=ASK_S * address.pace)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.exit != 0:
        raise RemoteFailed(link.host, f"{verb}: {said[-1] if said else f'exit status {done.exit}'}")
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError) as e:
        raise RemoteFailed(link.host, f"{verb}: the agent's answer is none: {done.stdout[:80]!r}") from e
    return answer if isinstance(answer, dict) else {}
