"""`orch lab`: a fleet of real sshds on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from orchestrator.errors import EXIT_UNKNOWN, InputError

if TYPE_CHECKING:
    from orchestrator.lab.labs import Lab, LabHost

T = TypeVar("T")
app = typer.Typer(help="A fleet on this machine, to try things on: -i lab:NAME.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the lab.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]

_LOOPBACK_HOSTS = 4
_CONTROLLER = "controller"


@app.command("up")
def up(
    name: Name,
    hosts: Annotated[
        int | None,
        typer.Option(
            "--hosts", help="Number of hosts in namespaces, each with a network and a disk of its own.", min=1
        ),
    ] = None,
    loopback: Annotated[
        int | None,
        typer.Option("--loopback", help="Number of sshds on 127.0.1.1 … N; 4 where nothing is asked.", min=1),
    ] = None,
    numa: Annotated[
        str | None,
        typer.Option(
            "--numa",
            help="CPUs x nodes, such as 16x4 (16x4x2: two to a core): emulated machines; one, or as many as --hosts says.",
        ),
    ] = None,
    disk: Annotated[
        str, typer.Option("--disk", help="Size of a host's disk, with --hosts. It is memory.")
    ] = "512MiB",
    as_json: Json = False,
) -> None:
    """Start real hosts with keys of their own, and write their inventory."""
    from orchestrator.lab import guest, guests, rack
    from orchestrator.lab import loopback as on_loopback
    from orchestrator.model.units import size

    if loopback is not None and (hosts is not None or numa is not None):
        raise InputError("--loopback", "does not go with --hosts and --numa", "one of them")
    if numa is not None:
        lab = guests.up(name, guest.Shape.parse(numa), hosts or 1, lambda text: typer.echo(text, err=True))
    elif hosts is not None:
        lab = rack.up(name, hosts, _unit("--disk", size, disk))
    else:
        lab = on_loopback.up(name, loopback or _LOOPBACK_HOSTS)
    if as_json:
        _print_json(lab)
        return
    ends = dict.fromkeys(
        f"{h.address}:{h.port}" if numa else h.address for h in (lab.hosts[0], lab.hosts[-1])
    )
    typer.echo(f"lab {name}: {len(lab.hosts)} host(s) on {' … '.join(ends)}, inventory -i lab:{name}")
    if not lab.isolated:
        typer.echo("no namespaces here: a killed host ends with what its sshd started", err=True)


def _unit(option: str, read: Callable[[str], T], text: str) -> T:
    from orchestrator.model.units import UnitError

    try:
        return read(text)
    except UnitError as e:
        raise InputError(option, str(e), e.hint) from e


@app.command("down")
def down(name: Name, as_json: Json = False) -> None:
    """End everything that runs in the lab, and remove its files."""
    from orchestrator.lab import life

    said = life.down(name)
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
    from orchestrator.lab import labs

    if name is None:
        found = labs.names()
        typer.echo(json.dumps({"labs": found}) if as_json else "\n".join(found) or "no labs")
        return
    lab = labs.load(name)
    if as_json:
        _print_json(lab)
    else:
        for host in lab.hosts:
            pid = f"\tpid {host.sshd.pid}" if host.alive and host.sshd else ""
            typer.echo(f"{host.name}\t{host.address}:{host.port}\t{_state(host)}{pid}")
        typer.echo(f"run something there: orch lab exec {name} {lab.hosts[0].name} -- COMMAND", err=True)
    if not lab.hosts or not all(host.alive for host in lab.hosts):
        raise typer.Exit(EXIT_UNKNOWN)


@app.command("exec", context_settings={"allow_interspersed_args": False})
def execute(
    name: Name,
    where: Annotated[
        str, typer.Argument(help="A host, or `controller`: where commands over the inventory run.")
    ],
    command: Annotated[list[str], typer.Argument(help="What to run there; after --.")],
) -> None:
    """Run a command on a host past its network and its sshd, or in the controller's network. Exit: the command's own."""
    from orchestrator.lab import labs, life

    lab = labs.load(name)
    command = command[1:] if command[0] == "--" else command
    argv = life.kind_of(lab).at(lab, None if where == _CONTROLLER else lab.host(where), command)
    sys.stdout.flush()
    done = subprocess.run(argv, check=False, env=_environment(lab, where))
    raise typer.Exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)


def _environment(lab: Lab, where: str) -> dict[str, str]:
    if where == _CONTROLLER:
        return dict(os.environ)
    from orchestrator.lab.labs import MARK
    from orchestrator.lab.sshd import SYSTEM_PATH

    kept = {k: v for k, v in os.environ.items() if k in ("TERM", "LANG", "HOME")}
    path = os.environ.get("PATH", "") if lab.kind == "loopback" else SYSTEM_PATH
    return {**kept, "PATH": path, MARK: str(lab.path / where), "ORCH_LAB": lab.name, "ORCH_LAB_HOST": where}


@app.command("fault")
def fault(
    name: Name,
    what: Annotated[
        str,
        typer.Argument(
            help="cut, heal, kill, revive, freeze, thaw, disk-full, slow, lossy, delayed, oops or lockup."
        ),
    ],
    host: Annotated[str, typer.Argument(help="Which host.")],
    rate: Annotated[str, typer.Option(help="slow: what its cable carries in a second.")] = "125kB",
    percent: Annotated[float, typer.Option(min=0, max=100, help="lossy: of the frames.")] = 5.0,
    delay: Annotated[str, typer.Option(help="delayed: each way.")] = "50ms",
    as_json: Json = False,
) -> None:
    """Do something to a host that happens to hosts; heal, thaw and revive undo it."""
    from orchestrator.lab import faults
    from orchestrator.model.units import duration, size

    how = faults.Severity(_unit("--rate", size, rate), percent, _unit("--delay", duration, delay))
    if how.bytes_per_s <= 0:
        raise InputError("--rate", "must be more than 0", "orch lab fault NAME cut HOST, for nothing at all")
    lab = faults.befall(name, what, host, how)
    if as_json:
        _print_json(lab)
    else:
        typer.echo(f"{host} is {_state(lab.host(host))}")


def _state(host: LabHost) -> str:
    if not host.alive:
        return "dead"
    units = {"slow": " bytes/s", "lossy": " %", "delayed": " s"}
    said = [f"{k} ({v:g}{units[k]})" if k in units else k for k, v in host.faults.items()]
    return ", ".join(["alive", *said])


def _print_json(lab: Lab) -> None:
    hosts: list[dict[str, Any]] = [
        {
            "host": host.name,
            "address": host.address,
            "port": host.port,
            "alive": host.alive,
            "faults": dict(host.faults),
            # of sshd, as seen from outside: killing it ends everything of the host
            "pid": host.sshd.pid if host.alive and host.sshd else None,
        }
        for host in lab.hosts
    ]
    answer = {
        "lab": lab.name,
        "kind": lab.kind,
        "isolated": lab.isolated,
        "inventory": str(lab.inventory),
        "hosts": hosts,
    }
    typer.echo(json.dumps(answer))
