"""`orch plan FILE`: what a run would do, without doing it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.hosts import MaxAge, seconds
from orchestrator.errors import InputError, InputErrors

if TYPE_CHECKING:
    from agents.wire import Facts
    from orchestrator.model.inventory import Inventory
    from orchestrator.model.plan import Plan, StepPlan


def plan(
    file: Annotated[Path, typer.Argument(help="The playbook.")],
    inventory: Annotated[
        str | None,
        typer.Option("-i", "--inventory", help="Inventory file, or lab:NAME. Without it: this machine."),
    ] = None,
    limit: Annotated[str | None, typer.Option(help="Only hosts that match this pattern.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of a variable; may be repeated.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(help="Facts from files: a folder with HOST.json, or one JSON file {host: facts}."),
    ] = None,
    max_age: MaxAge = None,
    out: Annotated[Path | None, typer.Option(help="Write plan.json to this file.")] = None,
    forks: Annotated[int, typer.Option(min=1, max=256, help="Hosts asked at the same time.")] = 32,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with the plan as JSON.")] = False,
) -> None:
    """Print the plan: jobs, cells, hosts, and an estimate of time and of what the run folder will take. Hosts are asked what they are, and
    nothing is written there; with --facts none is contacted."""
    made = _plan(file, inventory, limit, sets, facts, (forks, seconds("--max-age", max_age)))
    text = made.to_json() if as_json or out is not None else ""
    if out is not None:
        try:
            out.write_text(text)
        except OSError as e:
            raise InputError(str(out), f"cannot be written: {e.strerror}") from e
    if as_json:
        typer.echo(text, nl=False)
        return
    for line in _table(made):
        typer.echo(line)


def _plan(
    file: Path,
    inventory: str | None,
    limit: str | None,
    sets: list[str] | None,
    facts: Path | None,
    asking: tuple[int, float],
) -> Plan:
    """``asking``: how many hosts at a time, and how old facts at hand may be, seconds."""
    from orchestrator.bundle.build import default_source
    from orchestrator.cli.run import pairs
    from orchestrator.engine.names import benches_of, known_names
    from orchestrator.lab import inventory_path
    from orchestrator.model.reading import read
    from orchestrator.planning import candidates, make_plan

    source = default_source()
    names = known_names(benches_of(source), source)
    book, fleet = read(file, inventory_path(inventory), names, sets=pairs(sets), limit=limit)
    hosts = candidates(book, fleet, limit)
    known, unreachable = _survey(fleet, hosts, *asking) if facts is None else _from_files(facts, hosts)
    scenarios = names.scenarios() if "explore" in book.variants else {}
    return make_plan(book, fleet, known, unreachable, limit=limit, scenarios=scenarios)


def _survey(
    fleet: Inventory, hosts: list[str], forks: int, max_age_s: float
) -> tuple[dict[str, Facts], dict[str, str]]:
    from orchestrator.engine.survey import remarks, survey

    found = survey([fleet.hosts[h] for h in hosts], forks=forks, max_age_s=max_age_s)
    for text in remarks(found):
        print(f"orch: {text}", file=sys.stderr)
    return found.facts, found.unreachable


def _from_files(path: Path, hosts: list[str]) -> tuple[dict[str, Facts], dict[str, str]]:
    """Facts of ``hosts``; a host without a file is one that could not be reached. Raises InputErrors."""
    from agents.wire import Facts, WireError, decode

    known: dict[str, Facts] = {}
    missing: dict[str, str] = {}
    errors: list[InputError] = []
    one_file = _load(path) if path.is_file() else None
    if one_file is None and not path.is_dir():
        raise InputError(str(path), "is neither a file nor a folder with facts")
    for host in hosts:
        where = str(path) if one_file is not None else str(path / f"{host}.json")
        try:
            value = one_file.get(host) if one_file is not None else _load(Path(where), optional=True)
            if value is None:
                missing[host] = f"no facts in {path}"
            else:
                known[host] = decode(Facts, value, host)
        except WireError as e:
            errors.append(InputError(where, str(e), "as printed by `orch hosts facts --json`"))
        except InputError as e:
            errors.append(e)
    if errors:
        raise InputErrors(errors)
    return known, missing


def _load(path: Path, *, optional: bool = False) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as e:
        if optional:
            return None
        raise InputError(str(path), "is not there") from e
    except (OSError, ValueError) as e:
        raise InputError(str(path), f"cannot be read: {e}") from e
    if not isinstance(value, dict):
        raise InputError(str(path), "expected a JSON object")
    return value


def _table(made: Plan) -> Iterable[str]:
    from orchestrator.model.units import in_words, size_in_words

    rows = [("JOB", "HOSTS", "CELLS", "RUN", "SKIPPED", "LOST", "LAUNCHES", "ESTIMATE")]
    steps: dict[str, list[StepPlan]] = {job.name: [] for job in made.jobs}
    for step in made.steps:
        steps[step.job].append(step)
    for name, mine in steps.items():
        run = [s for s in mine if not s.skip and not s.lost]
        fewest = sum(s.launches.min for s in run)
        # of the busiest host
        seconds: dict[str, float] = {}
        for s in run:
            seconds[s.host] = seconds.get(s.host, 0.0) + s.launches.min * (s.warmup_s + s.seconds)
        rows.append(
            (
                name,
                str(len({s.host for s in mine})),
                str(len(mine)),
                str(len(run)),
                str(sum(1 for s in mine if s.skip)),
                str(sum(1 for s in mine if s.lost)),
                f"{fewest}" if all(s.launches.max == s.launches.min for s in run) else f"{fewest}+",
                in_words(max(seconds.values(), default=0.0)),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(
            t.ljust(w) if i == 0 else t.rjust(w) for i, (t, w) in enumerate(zip(row, widths, strict=True))
        )
    yield ""
    yield from _reasons(made)
    hosts = len(made.hosts)
    yield (
        f"{made.name}: {len(made.steps)} cells on {hosts} host{'s' * (hosts != 1)}, "
        f"at least {in_words(made.estimate_s)} and {size_in_words(made.estimate_bytes)}, seed {made.seed}"
    )


def _reasons(made: Plan, most: int = 10) -> Iterable[str]:
    """Why cells are left out, each reason once with its number."""
    counted: dict[tuple[str, str], int] = {}
    for step in made.steps:
        if step.skip or step.lost:
            key = ("skipped", step.skip) if step.skip else ("lost", step.lost)
            counted[key] = counted.get(key, 0) + 1
    for (word, reason), count in list(counted.items())[:most]:
        yield f"{count} {word}: {reason}"
    if len(counted) > most:
        yield f"… and {len(counted) - most} more reasons (--json has them all)"
    if counted:
        yield ""
