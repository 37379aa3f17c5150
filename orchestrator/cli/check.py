"""`orch check FILE…`: validate playbooks, and print the JSON Schema that editors use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.errors import EXIT_INPUT, InputError, InputErrors

if TYPE_CHECKING:
    from orchestrator.model.inventory import Inventory
    from orchestrator.model.names import Names


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Playbooks.", show_default=False)] = None,
    inventory: Annotated[
        str | None,
        typer.Option(
            "-i", "--inventory", help="Check host patterns against this inventory, or lab:NAME, too."
        ),
    ] = None,
    limit: Annotated[str | None, typer.Option(help="A host pattern to be checked with them.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of a variable; may be repeated.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of playbooks.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Say all that is wrong with playbooks and inventory.

    Every error at once; contacts no host.

    Exit 0 where nothing is wrong, 2 otherwise.
    """
    if schema:
        from orchestrator.model.playbook import playbook_schema

        typer.echo(json.dumps(playbook_schema(), indent=2))
        return
    if not files:
        raise InputError("orch check", "no file is named", "orch check playbooks/quickstart.yml")
    lines, errors = _check_all(files, inventory, limit, sets)
    if as_json:
        told = [{"where": e.where, "what": e.what, "hint": e.hint} for e in errors]
        typer.echo(json.dumps({"ok": not errors, "errors": told}))
        raise typer.Exit(EXIT_INPUT if errors else 0)
    for line in lines:
        typer.echo(line)
    if errors:
        raise InputErrors(errors)


def _check_all(
    files: list[Path], inventory: str | None, limit: str | None, sets: list[str] | None
) -> tuple[list[str], list[InputError]]:
    from orchestrator.bundle.build import default_source
    from orchestrator.cli.run import pairs
    from orchestrator.engine.names import benches_of, known_names
    from orchestrator.lab import inventory_path
    from orchestrator.model.inventory import read_inventory

    source = default_source()
    names = known_names(benches_of(source), source)
    given = pairs(sets)
    fleet: Inventory | None = None
    errors: list[InputError] = []
    if inventory is not None:
        fleet, errors = read_inventory(inventory_path(inventory))
    lines = []
    for file in files:
        line, more = _check_one(file, names, given, fleet, limit)
        errors += more
        lines += [line] if not more else []
    return lines, errors


def _check_one(
    file: Path, names: Names, sets: dict[str, str], fleet: Inventory | None, limit: str | None
) -> tuple[str, list[InputError]]:
    from orchestrator.model.reading import check_playbook
    from orchestrator.planning.expand import cells

    playbook, errors = check_playbook(file, names, sets=sets, inventory=fleet, limit=limit)
    if playbook is None or errors:
        return "", errors
    scenarios = names.scenarios() if "explore" in playbook.variants else {}
    try:
        count = sum(sum(1 for _ in cells(job, None, scenarios)) for job in playbook.jobs)
    except InputError as e:
        return "", [InputError(f"{file}: {e.where}", e.what, e.hint)]
    jobs = len(playbook.jobs)
    return f"{file}: OK ({jobs} job{'s' * (jobs != 1)}, {count} cell{'s' * (count != 1)})", []
