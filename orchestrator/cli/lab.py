"""`orch lab`: a fleet of real sshds on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.errors import EXIT_UNKNOWN, InputError

if TYPE_CHECKING:
    from orchestrator.lab.loopback import Lab

app = typer.Typer(help="A fleet on this machine, to try things on: -i lab:NAME.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the lab.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]


@app.command("up")
def up(
    name: Name,
    loopback: Annotated[int, typer.Option("--loopback", help="Number of sshds on 127.0.1.1 … N.", min=1)] = 4,
    as_json: Json = False,
) -> None:
    """Start N sshds with keys of their own, and write their inventory."""
    from orchestrator.lab import loopback as labs

    lab = labs.up(name, loopback)
    if as_json:
        _print_json(lab)
        return
    typer.echo(f"lab {name}: {len(lab.hosts)} hosts on 127.0.1.1 … {len(lab.hosts)}, inventory -i lab:{name}")
    if not lab.isolated:
        typer.echo("no namespaces here: a killed host ends with what its sshd started", err=True)


@app.command("down")
def down(name: Name, as_json: Json = False) -> None:
    """End everything that runs in the lab, and remove its files."""
    from orchestrator.lab import loopback as labs

    said = labs.down(name)
    if as_json:
        typer.echo(json.dumps({"lab": name, "down": True, "notes": said}))
        return
    for line in said:
        typer.echo(line, err=True)
    typer.echo(f"lab {name} is down")


@app.command("status")
def status(
    name: Annotated[str | None, typer.Argument(help="Name of the lab.")] = None, as_json: Json = False
) -> None:
    """The hosts of a lab, or without a name the labs. Exit 3 where a host of it is dead."""
    from orchestrator.lab import loopback as labs

    if name is None:
        found = labs.names()
        typer.echo(json.dumps({"labs": found}) if as_json else "\n".join(found) or "no labs")
        return
    lab = labs.load(name)
    if as_json:
        _print_json(lab)
    else:
        for host in lab.hosts:
            state = f"pid {host.sshd.pid}" if host.alive and host.sshd else "dead"
            typer.echo(f"{host.name}\t{host.address}:{host.port}\t{state}")
        typer.echo(f"log in by hand: {labs.shell_hint(lab)}", err=True)
    if not lab.hosts or not all(host.alive for host in lab.hosts):
        raise typer.Exit(EXIT_UNKNOWN)


@app.command("fault")
def fault(
    name: Name,
    what: Annotated[str, typer.Argument(help="kill: the host dies at once · revive: it is started again.")],
    host: Annotated[str, typer.Argument(help="Which host.")],
    as_json: Json = False,
) -> None:
    """Do something to a host that happens to hosts."""
    from orchestrator.lab import loopback as labs

    faults = {"kill": labs.kill, "revive": labs.revive}
    if what not in faults:
        raise InputError(f"lab {name}", f"no fault {what}", "there are: " + ", ".join(faults))
    lab = faults[what](name, host)
    if as_json:
        _print_json(lab)
    else:
        typer.echo(f"{host} is {'alive' if lab.host(host).alive else 'dead'}")


def _print_json(lab: Lab) -> None:
    hosts: list[dict[str, Any]] = [
        {
            "host": host.name,
            "address": host.address,
            "port": host.port,
            "alive": host.alive,
            # of sshd, as seen from outside: killing it ends everything of the host
            "pid": host.sshd.pid if host.alive and host.sshd else None,
        }
        for host in lab.hosts
    ]
    answer = {"lab": lab.name, "isolated": lab.isolated, "inventory": str(lab.inventory), "hosts": hosts}
    typer.echo(json.dumps(answer))
