"""Why a host's figures are not those of the machine that it seems to be: emulated, shared with another, throttled, or short of its CPUs.

A host with a mark is compared with nothing outside its run, and enters no baseline.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from agents.wire import Facts
from orchestrator.results.ledger import StepLog

#: mean share of the measured CPUs' time that others had, in per cent, above which a virtual machine is called oversubscribed
STEAL_MOST = 5.0
_ENOUGH = 3


def marks(
    host: str,
    facts: Mapping[str, Facts],
    emulated: Collection[str],
    logs: Sequence[StepLog],
) -> list[str]:
    """In words, for ``host`` of a run; ``facts`` of all its hosts, ``emulated``: those of which the inventory says it, ``logs``:
    what the journals say of this host's steps."""
    fact = facts.get(host)
    said = ["emulated: the inventory says so"] if host in emulated else []
    if fact is not None:
        if "tcg" in fact.virtualisation:
            said.append(f"emulated: {fact.virtualisation}")
        if fact.boot_id and sum(f.boot_id == fact.boot_id for f in facts.values()) > 1:
            # they take each other's CPU time
            said.append("shared: another host of the run has the same kernel")
        usable = sum(c.allowed for c in fact.cpus)
        if 0 < fact.quota_cpus < usable:
            said.append(f"oversubscribed: {usable} CPUs, and the time of {fact.quota_cpus:g}")
    signs, steal = sum(log.steal[0] for log in logs), sum(log.steal[1] for log in logs)
    if signs >= _ENOUGH and steal / signs > STEAL_MOST:
        said.append(f"oversubscribed: {steal / signs:.0f}% of its CPUs' time went to others")
    entries = (e for log in logs for launch in log.launches.values() for e in launch)
    if any(e.kind == "health" and e.data.get("what") == "throttled" for e in entries):
        said.append("throttled: it was made slower while it was measured, by heat or power")
    return said
