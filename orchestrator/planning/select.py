"""Which hosts a playbook is about: pattern, limit, and `where` over what is known of a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import InputError
from orchestrator.model.expression import ExpressionError, parse
from orchestrator.model.inventory import Inventory, PatternError
from orchestrator.model.playbook import Job, Playbook


def candidates(playbook: Playbook, inventory: Inventory, limit: str | None = None) -> list[str]:
    """Hosts to ask for facts, in the order of the inventory. Raises InputError where there is none."""
    chosen = _select(inventory, playbook.hosts, "hosts")
    if limit is not None:
        within = set(_select(inventory, limit, "--limit"))
        chosen = [h for h in chosen if h in within]
        if not chosen:
            raise InputError(f"--limit {limit}", f"leaves none of the hosts that {playbook.hosts!r} means")
    return chosen


def matching(playbook: Playbook, hosts: list[str], known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Those of ``hosts`` for which `where` holds. One of which nothing is known stays: it must not vanish
    from the account. Raises InputError where `where` cannot be answered, or holds nowhere."""
    if playbook.where is None:
        return hosts
    chosen = [h for h in hosts if h not in known or holds(playbook, h, known[h])]
    if not chosen:
        raise InputError("where", f"`{parse(playbook.where).text}` holds on none of {len(hosts)} hosts")
    return chosen


def holds(playbook: Playbook, host: str, known: Mapping[str, Any]) -> bool:
    """`where` for one host. Raises InputError where it cannot be answered."""
    if playbook.where is None:
        return True
    try:
        return bool(parse(playbook.where).evaluate(known))
    except ExpressionError as e:
        raise InputError("where", f"{e}, on host {host}") from e


def of_job(job: Job, hosts: list[str], inventory: Inventory) -> list[str]:
    """A job's own `hosts` narrows the playbook's."""
    if job.hosts is None:
        return hosts
    own = set(_select(inventory, job.hosts, f"hosts of job {job.name}"))
    return [h for h in hosts if h in own]


def _select(inventory: Inventory, pattern: str, where: str) -> list[str]:
    try:
        return inventory.select(pattern)
    except PatternError as e:
        raise InputError(where, str(e), e.hint) from e
