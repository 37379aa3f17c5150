"""`orch hosts`: who they are, whether they answer, what they are and lack, and whether their keys are trusted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.errors import EXIT_UNKNOWN, EXIT_VIOLATED, InputError, InputErrors, LinkError

if TYPE_CHECKING:
    from agents.wire import Facts
    from orchestrator.fleet.trust import ShownKey
    from orchestrator.model.address import Address

app = typer.Typer(
    help="The hosts of an inventory: list, ping, facts, doctor, bootstrap, trust, release.",
    no_args_is_help=True,
)

Pattern = Annotated[str, typer.Argument(help="Which hosts, e.g. 'numa:!h3'.")]
Inventory = Annotated[
    str | None,
    typer.Option("-i", "--inventory", help="Inventory file, or lab:NAME. Without it: this machine."),
]
Limit = Annotated[str | None, typer.Option(help="Of those, only hosts that match this pattern too.")]
MaxAge = Annotated[
    str | None,
    typer.Option(
        "--max-age",
        help="Do not ask hosts that were asked at most so long ago, such as 1h; default: ask all.",
    ),
]
Forks = Annotated[int, typer.Option(min=1, max=256, help="Hosts that are contacted at the same time.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]


@app.command("list")
def list_(
    pattern: Pattern = "all",
    inventory: Inventory = None,
    limit: Limit = None,
    status: Annotated[
        bool,
        typer.Option(
            "--status", help="Ask each host who holds it, until when, for what, and why it joins no cluster."
        ),
    ] = False,
    forks: Forks = 32,
    as_json: Json = False,
) -> None:
    """Hosts of the inventory and how they are reached; contacts none of them without --status."""
    from orchestrator.cli import held

    chosen = addresses(pattern, inventory, limit)
    asked = held.statuses(chosen, forks) if status else {}
    if as_json:
        _print({"hosts": [{**_described(address), **asked.get(address.name, {})} for address in chosen]})
    for address in () if as_json else chosen:
        labels = " ".join(f"{key}={value}" for key, value in address.labels.items())
        said = held.in_words(asked[address.name]) if status else ""
        typer.echo("\t".join(part for part in (address.name, _where(address), labels, said) if part))
    _exit_by(all("reason" not in said for said in asked.values()))


@app.command("ping")
def ping(
    pattern: Pattern = "all",
    inventory: Inventory = None,
    limit: Limit = None,
    forks: Forks = 32,
    as_json: Json = False,
) -> None:
    """Connect, log in and run nothing. Exit 3 where a host does not answer."""
    from orchestrator.engine import survey

    answers = survey.ping(addresses(pattern, inventory, limit), forks=forks)
    hosts: list[dict[str, Any]] = []
    for name, answer in answers.items():
        lost = isinstance(answer, LinkError)
        why = survey.reason(answer) if isinstance(answer, LinkError) else ""
        hosts.append({"host": name, "ok": not lost, "seconds": None if lost else answer, "reason": why})
        if not as_json:
            typer.echo(f"{name}\t{why or f'ok in {answer:.2f} s'}")
    if as_json:
        _print({"hosts": hosts})
    _exit_by(all(host["ok"] for host in hosts))


@app.command("facts")
def facts(
    pattern: Pattern = "all",
    inventory: Inventory = None,
    limit: Limit = None,
    max_age: MaxAge = None,
    forks: Forks = 32,
    as_json: Json = False,
) -> None:
    """What each host is; nothing is written there. Exit 3 where a host does not answer."""
    from agents.wire import encode
    from orchestrator.engine import survey
    from orchestrator.model.units import in_words

    found = survey.survey(
        addresses(pattern, inventory, limit), forks=forks, max_age_s=seconds("--max-age", max_age)
    )
    if as_json:
        known = {name: encode(fact) for name, fact in found.facts.items()}
        _print(
            {
                "facts": known,
                "unreachable": found.unreachable,
                "clock_offset_s": found.clock_offsets,
                "age_s": found.ages,
            }
        )
    else:
        for name, fact in found.facts.items():
            age = found.ages.get(name)
            when = f"clock {found.clock_offsets[name]:+.3f} s" if age is None else f"{in_words(age)} ago"
            typer.echo(f"{name}\t{_summary(fact)}\t{when}")
        for name, why in found.unreachable.items():
            typer.echo(f"{name}\t{why}")
    _exit_by(not found.unreachable)


@app.command("doctor")
def doctor(
    pattern: Pattern = "all",
    inventory: Inventory = None,
    limit: Limit = None,
    port: Annotated[
        list[int] | None, typer.Option("--port", min=1, max=65535, help="A port that must be free; 6379.")
    ] = None,
    forks: Forks = 32,
    as_json: Json = False,
) -> None:
    """What each host lacks, and what to do about it; nothing is written there.

    One line per finding: host, ok | note | warning | failure, what, and what to do. Exit 1 where a host has a warning or a
    failure, 3 where one does not answer.
    """
    from orchestrator.engine import survey
    from orchestrator.fleet import preflight

    wanted = preflight.Wanted(ports=tuple(port or [preflight.RAY_PORT]))
    answers = survey.examine(addresses(pattern, inventory, limit), wanted, forks=forks)
    told: list[dict[str, Any]] = []
    for name, answer in answers.items():
        lost = isinstance(answer, LinkError)
        found = [] if isinstance(answer, LinkError) else answer
        told.append(
            {
                "host": name,
                "level": "lost" if lost else preflight.worst(found),
                "findings": [{"level": f.level, "what": f.what, "hint": f.hint} for f in found],
                "reason": _why(answer if isinstance(answer, LinkError) else None),
            }
        )
        if not as_json:
            for line in found:
                hint = f" ({line.hint})" if line.hint else ""
                typer.echo(f"{name}\t{line.level}\t{line.what}{hint}")
            if lost:
                typer.echo(f"{name}\tlost\t{told[-1]['reason']}")
    if as_json:
        _print({"hosts": told})
    levels = {host["level"] for host in told}
    _exit_by("lost" not in levels)
    if levels & {preflight.WARNING, preflight.FAILURE}:
        raise typer.Exit(EXIT_VIOLATED)


@app.command("bootstrap")
def bootstrap(
    pattern: Pattern = "all",
    inventory: Inventory = None,
    limit: Limit = None,
    wheelhouse: Annotated[
        Path | None,
        typer.Option(help="A folder of wheels. Without it they are fetched once, by this machine."),
    ] = None,
    forks: Forks = 32,
    as_json: Json = False,
) -> None:
    """Make each host ready to join Ray, without internet there: wheels are shipped, an environment is made of them.

    It lies in the host's spool under the digest of what it is made from; where it is there, nothing is sent. Exit 3 where a
    host could not be made ready.
    """
    from orchestrator.bundle.wheelhouse import wheelhouse as wheels_of
    from orchestrator.engine.bootstrap import bootstrap as make_ready

    chosen = addresses(pattern, inventory, limit)
    house = wheels_of(wheelhouse)
    told: list[dict[str, Any]] = []
    for name, answer in make_ready(chosen, house, forks=forks).items():
        if isinstance(answer, LinkError):
            told.append({"host": name, "ok": False, "reason": _why(answer)})
            line = told[-1]["reason"]
        else:
            told.append({"host": name, "ok": True, "reason": "", **vars(answer)})
            how = f"made in {answer.seconds:.1f} s" if answer.made else "was there already"
            line = f"{how}, {answer.bytes_sent / 1e6:.1f} MB sent: {answer.environment}"
        if not as_json:
            typer.echo(f"{name}\t{line}")
    if as_json:
        _print({"hosts": told})
    _exit_by(all(host["ok"] for host in told))


@app.command("trust")
def trust(
    pattern: Pattern = "all",
    inventory: Inventory = None,
    limit: Limit = None,
    yes: Annotated[bool, typer.Option("--yes", help="Record what is shown, without asking.")] = False,
    forks: Forks = 32,
    as_json: Json = False,
) -> None:
    """Show the hosts' key fingerprints, and record them after a yes.

    Compare them with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the host itself.
    A changed key is never replaced. Exit 3 where a host does not answer or shows a changed key.
    """
    from orchestrator.engine.survey import on_each, reason
    from orchestrator.fleet.trust import record, refusal, shown_keys

    chosen = {address.name: address for address in addresses(pattern, inventory, limit)}
    answers = on_each(chosen.values(), shown_keys, forks)
    told: list[dict[str, Any]] = []
    failed = undecided = False
    for name, answer in answers.items():
        keys = [] if isinstance(answer, LinkError) else answer
        error = answer if isinstance(answer, LinkError) else refusal(answer)
        if not as_json:
            _show(name, keys, reason(error) if error else "")
        new = [key for key in keys if key.state == "new"]
        open_question = bool(new) and error is None and not yes and not as_json
        agreed = yes or (open_question and _on_terminal() and _agreed(name))
        recorded = bool(new) and error is None and agreed
        undecided = undecided or (open_question and not _on_terminal())
        if recorded:
            path = record(chosen[name], keys)
            typer.echo(f"{name}\trecorded in {path}", err=True)
        told.append(
            {"host": name, "keys": [_key(k) for k in keys], "recorded": recorded, "reason": _why(error)}
        )
        failed = failed or error is not None
    if as_json:
        _print({"hosts": told})
    if undecided:
        raise InputError(
            "orch hosts trust", "nobody is there to say yes", "compare the fingerprints, then add --yes"
        )
    _exit_by(not failed)


def _agreed(name: str) -> bool:
    return typer.confirm(f"record the new keys of {name}?", default=False, err=True)


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _show(name: str, keys: list[ShownKey], why: str) -> None:
    for key in keys:
        typer.echo(f"{name}\t{key.record}\t{key.type}\t{key.fingerprint}\t{key.state}")
    if why:
        typer.echo(f"{name}\t{why}", err=True)
    elif not keys:
        typer.echo(f"{name}\tthis machine, without SSH: nothing to trust")


def _why(error: LinkError | None) -> str:
    from orchestrator.engine.survey import reason

    return reason(error) if error else ""


def _key(key: ShownKey) -> dict[str, str]:
    return {"record": key.record, "type": key.type, "fingerprint": key.fingerprint, "state": key.state}


def _where(address: Address) -> str:
    if address.local:
        return "this machine"
    user = f"{address.user}@" if address.user else ""
    port = f":{address.port}" if address.port else ""
    return f"{user}{address.host or address.name}{port}"


def _described(address: Address) -> dict[str, Any]:
    return {
        "host": address.name,
        "local": address.local,
        "address": None if address.local else address.host or address.name,
        "port": address.port,
        "user": address.user,
        "python": address.python,
        "spool": address.spool,
        "emulated": address.emulated,
        "lab": address.lab,
        "labels": dict(address.labels),
    }


def _summary(fact: Facts) -> str:
    usable = sum(cpu.allowed for cpu in fact.cpus)
    gib = fact.memory_bytes / 2**30
    virtual = f", {fact.virtualisation}" if fact.virtualisation else ""
    parts = [f"{usable} CPUs", f"{len(fact.nodes)} node(s)", f"{gib:.1f} GiB", fact.cpu_model + virtual]
    return "\t".join([*parts, f"Linux {fact.kernel}", f"Python {fact.python}"])


def seconds(option: str, text: str | None) -> float:
    """A duration that an option gives, 0 where it is not given. Raises InputError."""
    from orchestrator.model.units import UnitError, duration

    try:
        return duration(text) if text is not None else 0.0
    except UnitError as e:
        raise InputError(option, str(e), e.hint) from e


def addresses(pattern: str, inventory: str | None, limit: str | None) -> list[Address]:
    """Hosts that are meant, in the order of the inventory. Raises InputError."""
    from orchestrator.lab import inventory_path
    from orchestrator.model.inventory import PatternError, read_inventory

    read, errors = read_inventory(inventory_path(inventory))
    if read is None:
        raise InputErrors(errors)
    chosen = list(read.hosts)
    for text, where in ((pattern, "pattern"), (limit, "--limit")):
        if text is not None:
            try:
                matching = read.select(text)
            except PatternError as e:
                raise InputError(where, str(e), e.hint) from e
            chosen = [name for name in chosen if name in matching]
    if not chosen:
        raise InputError("--limit", f"{limit!r} leaves no host of {pattern!r}")
    return [read.hosts[name] for name in chosen]


def _print(answer: dict[str, Any]) -> None:
    typer.echo(json.dumps(answer))


def _exit_by(well: bool) -> None:
    if not well:
        raise typer.Exit(EXIT_UNKNOWN)
