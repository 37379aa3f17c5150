"""`orch hosts list --status` and `orch hosts release`: who holds the hosts, how they are driven, and giving back what was left."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import hosts
from orchestrator.errors import EXIT_UNKNOWN, EXIT_VIOLATED, LinkError

if TYPE_CHECKING:
    from orchestrator.model.address import Address


def statuses(addresses: list[Address], forks: int) -> dict[str, dict[str, Any]]:
    """Host → {lease, tuned, apart}, or {reason} where it does not answer. ``apart``: why it does not join a Ray cluster,
    empty where it does."""
    from orchestrator.bundle.agent import agent_zipapp
    from orchestrator.engine import nodes
    from orchestrator.engine.survey import on_each, reason
    from orchestrator.fleet import lease
    from orchestrator.transport import open_link

    agent = agent_zipapp()

    def ask(address: Address) -> dict[str, Any]:
        with contextlib.closing(open_link(address)) as link:
            return {**lease.show(link, agent, address), "apart": nodes.apart(link, agent, address)}

    answers = on_each(addresses, ask, forks)
    return {h: {"reason": reason(a)} if isinstance(a, LinkError) else a for h, a in answers.items()}


def in_words(status: dict[str, Any]) -> str:
    """One line for a person."""
    from orchestrator.engine.leases import words
    from orchestrator.fleet.lease import busy

    if "reason" in status:
        return str(status["reason"])
    left = "; settings are still to be put back" if status["tuned"] else ""
    if status["apart"]:
        left += f"; driven over SSH: {status['apart']}"
    if status["lease"] is None:
        return "free" + left
    return words(busy(status["lease"])) + ("" if status["lease"]["kept"] else "; nobody keeps it") + left


def release(
    pattern: hosts.Pattern = "all",
    inventory: hosts.Inventory = None,
    limit: hosts.Limit = None,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="End everything of ours that still runs there, and say what is left."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also a lease that somebody still keeps.")] = False,
    forks: hosts.Forks = 32,
    as_json: hosts.Json = False,
) -> None:
    """Give back what was left on the hosts: leases that nobody keeps, settings that were not put back.

    Exit 1 where a lease is still kept, or something could not be put back or ended; 3 where a host does not answer.
    """
    from orchestrator.bundle.agent import agent_zipapp
    from orchestrator.engine.survey import on_each, reason
    from orchestrator.fleet import lease
    from orchestrator.transport import open_link

    agent = agent_zipapp()

    def give_back(address: Address) -> dict[str, Any]:
        with contextlib.closing(open_link(address)) as link:
            return lease.give_back(link, agent, address, sweep=sweep, force=force)

    answers = on_each(hosts.addresses(pattern, inventory, limit), give_back, forks)
    told = {h: {"reason": reason(a)} if isinstance(a, LinkError) else a for h, a in answers.items()}
    if as_json:
        typer.echo(json.dumps({"hosts": told}))
    for host, answer in told.items():
        if not as_json:
            typer.echo(f"{host}\t{_released(answer)}")
    if any("reason" in answer for answer in told.values()):
        raise typer.Exit(EXIT_UNKNOWN)
    if not all(answer["clean"] for answer in told.values()):
        raise typer.Exit(EXIT_VIOLATED)


def _released(answer: dict[str, Any]) -> str:
    if "reason" in answer:
        return str(answer["reason"])
    parts = []
    if answer["kept"]:
        parts.append(in_words({"lease": answer["lease"], "tuned": False, "apart": ""}) + " (--force ends it)")
    elif answer["released"]:
        parts.append(
            f"released what {answer['lease']['who'] if answer['lease'] else 'an earlier run'} had left"
        )
    parts += [f"{len(answer[key])} {key}" for key in ("stopped", "orphans", "restored") if answer[key]]
    parts += [f"NOT RESTORED: {name}: {why}" for name, why in answer["not_restored"].items()]
    if answer["left"]:
        parts.append(f"STILL RUNNING: {', '.join(map(str, answer['left']))}")
    return "; ".join(parts) or "nothing was left"
