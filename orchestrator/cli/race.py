"""`orch race`: look for races, have one again, and measure what would have been found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.score import DETECTED, score
from orchestrator.errors import EXIT_OK, EXIT_VIOLATED, InputError

if TYPE_CHECKING:
    from orchestrator.engine.replay import Replayed
    from orchestrator.engine.session import Request
    from orchestrator.model.address import Address
    from orchestrator.run import Ran

app = typer.Typer(
    help="Look for races, have one again, and measure what would have been found.", no_args_is_help=True
)

app.command("score")(score)

Inventory = Annotated[
    str | None,
    typer.Option("-i", "--inventory", help="Inventory file, or lab:NAME. Without it: this machine."),
]
#: Where nothing is said.
BUDGET = "1m"
THREADS = 2

Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]


@app.command("explore")
def explore(
    subjects: Annotated[
        list[str] | None, typer.Argument(help="Structures to look at, e.g. deque; without any: all of them.")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Wall-clock time on each host, for all of it together.")
    ] = BUDGET,
    detectors: Annotated[
        list[str] | None,
        typer.Option("--detector", help=f"{DETECTED}; may be repeated."),
    ] = None,
    strategies: Annotated[
        list[str] | None,
        typer.Option("--strategy", help="How the explorer picks schedules; may be repeated."),
    ] = None,
    placements: Annotated[
        list[str] | None, typer.Option("--placement", help="Of the stress steps; may be repeated.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the stress steps; at least 2 are taken.")] = THREADS,
    seed: Annotated[int, typer.Option(min=0, help="Everything random derives from it.")] = 0,
    confirm: Annotated[
        bool, typer.Option(help="Run what was found once more, on another host where there is one.")
    ] = True,
    inventory: Inventory = None,
    limit: Annotated[str | None, typer.Option(help="Only hosts that match this pattern.")] = None,
    rest: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Go on with that search: what is missing of it."),
    ] = None,
    runs: Annotated[Path, typer.Option(envvar="ORCH_RUNS", help="Where run folders lie.")] = Path("runs"),
    forks: Annotated[int, typer.Option(min=1, max=256, help="Hosts contacted at the same time.")] = 32,
    as_json: Json = False,
) -> None:
    """Look for races in the native code with every detector, within a budget.

    The same as a playbook with one job of the workload `race`; docs/native/race.md says what comes of it.

    Exit codes: 0 none found, 1 found or failed, 2 usage or input, 3 unknown: a detector is void, or not all was run.
    """
    from orchestrator.cli.run import go, go_on, inventory_file, rest_of
    from orchestrator.engine.session import Request

    if rest is not None:
        _check_alone(
            rest,
            {
                "subject": subjects,
                "--detector": detectors,
                "--strategy": strategies,
                "--placement": placements,
                "-i": inventory,
                "--limit": limit,
                "--budget": budget != BUDGET,
                "--threads": threads != THREADS,
                "--seed": seed,
            },
        )
        again = go_on(rest, rest_of(runs, forks), as_json)
        _answer(again, [], as_json)
        raise typer.Exit(again.exit_code)
    choices = {"detectors": detectors, "strategies": strategies, "placements": placements}
    asked = {"subjects": subjects or "all", "budget": budget, **{k: v for k, v in choices.items() if v}}
    job = {"name": "races", "workload": "race", "with": asked, "threads": threads}
    book = {"orch": 1, "name": "races", "seed": seed, "jobs": [job]}
    request = Request(
        playbook=json.dumps(book, indent=1),
        inventory=inventory_file(inventory),
        limit=limit,
        runs=runs,
        argv=tuple(sys.argv[1:]),
        forks=forks,
    )
    ran = go(request, as_json)
    more = _confirmed(ran, request, as_json) if confirm and ran.exit_code == EXIT_VIOLATED else []
    _answer(ran, more, as_json)
    raise typer.Exit(ran.exit_code)


def _check_alone(rest: str, given: dict[str, Any]) -> None:
    """What a search was begun with holds for its rest."""
    for name, value in given.items():
        if value:
            raise InputError(
                f"--resume {rest}", f"goes on as it was begun: it takes no {name}", "leave it out"
            )


def _confirmed(ran: Ran, request: Request, as_json: bool) -> list[dict[str, Any]]:
    """What was found, run again: signature, host, launches, and how many of them failed."""
    from dataclasses import replace

    from orchestrator.cli.run import go
    from orchestrator.report.confirm import confirmation, confirmed

    book = confirmation(ran.rebuilt)
    if book is None:
        return []
    again = go(replace(request, playbook=json.dumps(book, indent=1), limit=None), as_json)
    return confirmed(ran.rebuilt, again.rebuilt)


def _answer(ran: Ran, again: list[dict[str, Any]], as_json: bool) -> None:
    from orchestrator.cli.report import answer
    from orchestrator.report.summary import summary

    if as_json:
        typer.echo(json.dumps({**summary(ran.rebuilt, ran.folder), "again": again}, allow_nan=False))
        return
    answer(ran.folder, ran.rebuilt, as_json=False)
    if again:
        typer.echo("\nRun again")
    for one in again:
        where = f"on {one['host']}" + ("" if one["other"] else ", the only host")
        typer.echo(f"  {one['subject']}: {one['failed']} of {one['launches']} launches {where}")


# -- one run again -----------------------------------------------------------------------------------------

Token = Annotated[str, typer.Argument(help="The token, as the finding shows it.")]
Host = Annotated[str | None, typer.Option(help="Replay it there, and not on this machine; needs -i.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds after which it counts as hanging.")]


@app.command("replay")
def replay(
    token: Token,
    inventory: Inventory = None,
    host: Host = None,
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> None:
    """Have one run of the explorer again, from its token, step by step.

    Exit codes: 0 the run is as it should be, 1 what was found is there again, 2 no token, or of sources that are not here.
    """
    from orchestrator.engine.replay import replay as have_again

    made = have_again(token, _address(inventory, host), timeout)
    if as_json:
        value = {
            "token": made.token,
            "host": made.host,
            "reproduced": made.violation is not None,
            "violation": made.violation,
            "result": made.result,
        }
        typer.echo(json.dumps(value))
    else:
        _show(made)
    raise typer.Exit(EXIT_OK if made.violation is None else EXIT_VIOLATED)


def _show(made: Replayed) -> None:
    if made.violation is None:
        typer.echo(f"{made.host}: the run ends as it should: nothing was found")
        return
    for line in made.trace:
        typer.echo(line)
    typer.echo(f"{made.host}: {made.violation.get('evidence') or made.violation.get('contract')}")


def _address(inventory: str | None, host: str | None) -> Address:
    """Raises InputError where there is no such host."""
    from orchestrator.cli.run import inventory_file
    from orchestrator.errors import InputErrors
    from orchestrator.model.inventory import read_inventory
    from orchestrator.model.names import nearest

    fleet, errors = read_inventory(inventory_file(inventory))
    if errors or fleet is None:
        raise InputErrors(errors)
    name = host or next(iter(fleet.hosts))
    if name not in fleet.hosts:
        raise InputError(f"--host {name}", "there is no such host", nearest(name, fleet.hosts))
    return fleet.hosts[name]
