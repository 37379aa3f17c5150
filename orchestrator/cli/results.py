"""`orch results list|show|export|query`: what runs have left behind."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.errors import InputError, OrchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.results.folder import RunFolder

app = typer.Typer(help="List, show, export and query the results of runs.", no_args_is_help=True)

Runs = Annotated[Path, typer.Option(envvar="ORCH_RUNS", help="Where run folders lie.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Run = Annotated[
    str, typer.Argument(help="A run: its id, a unique beginning or end of it, a path, or 'last'.")
]


class ExportFormat(StrEnum):
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    JUNIT = "junit"


class QueryFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command("list")
def list_runs(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """All runs, oldest first. A run without tables is under way or was killed: `orch report` computes them."""
    from orchestrator.results.folder import runs as all_runs
    from orchestrator.results.listing import LISTED, run_line

    lines = [run_line(folder) for folder in all_runs(runs)]
    if as_json:
        _echo_json(lines)
        return
    _print_rows(list(LISTED), [[line[name] for name in LISTED] for line in lines])


@app.command("show")
def show(run: Run = "last", runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """The report of a run, without touching its folder. Exits with 0 whatever the run found."""
    from orchestrator.cli.report import answer
    from orchestrator.results.folder import RunFolder
    from orchestrator.results.rebuild import rebuild

    folder = RunFolder.open(runs, run)
    answer(folder, rebuild(folder, write=False), as_json=as_json)


@app.command("export")
def export(
    run: Run = "last",
    form: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.CSV,
    table: Annotated[
        str | None,
        typer.Option(help="One table. Without it: all into a folder, `samples` to standard output."),
    ] = None,
    out: Annotated[str, typer.Option(help="A folder, or - for standard output.")] = "-",
    runs: Runs = Path("runs"),
) -> None:
    """Write a run's tables as CSV, JSON or Parquet, or its steps as JUnit XML."""
    from orchestrator.model.tables import TABLES
    from orchestrator.results.folder import RunFolder

    if table is not None and table not in TABLES:
        raise InputError("--table", f"no table {table!r}", f"there are {', '.join(TABLES)}")
    folder = RunFolder.open(runs, run)
    names = [table] if table is not None else (["samples"] if out == "-" else list(TABLES))
    for name, data in _exported(folder, form, names):
        if out == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            _write(Path(out) / name, data)


@app.command("query")
def query(
    sql: Annotated[str, typer.Argument(help='One SELECT, e.g. "select run, verdict from runs".')],
    runs: Runs = Path("runs"),
    form: Annotated[QueryFormat, typer.Option("--format", help="How to answer.")] = QueryFormat.TABLE,
    as_json: Json = False,
) -> None:
    """SQL over the tables of all runs: runs, hosts, steps, samples, histograms, latencies, events, vitals, findings."""
    from orchestrator.results.folder import runs as all_runs
    from orchestrator.results.query import query as ask

    folders = [f for f in all_runs(runs) if _has_tables(f)]
    found = ask(folders, sql)
    if as_json or form is QueryFormat.JSON:
        _echo_json([dict(zip(found.columns, map(_finite, row), strict=True)) for row in found.rows])
    elif form is QueryFormat.CSV:
        _echo_csv(found.columns, found.rows)
    else:
        _print_rows(found.columns, found.rows)


def _has_tables(folder: RunFolder) -> bool:
    """Computes them where they are missing; a run that has no readable plan is left out, and said so."""
    from orchestrator.results.rebuild import rebuild
    from orchestrator.results.store import is_current

    if is_current(folder):
        return True
    try:
        rebuild(folder)
    except OrchError as e:
        typer.echo(f"orch: left out: {e}", err=True)
        return False
    return True


def _exported(folder: RunFolder, form: ExportFormat, names: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    """(file name, content)"""
    from orchestrator.results.export import to_csv, to_json
    from orchestrator.results.rebuild import rebuild
    from orchestrator.results.store import is_current, parquet_bytes, read_tables

    if form is ExportFormat.JUNIT:
        from orchestrator.report.junit import junit_xml

        yield "junit.xml", junit_xml(rebuild(folder, write=False)).encode()
        return
    tables = read_tables(folder) if is_current(folder) else rebuild(folder, write=False).tables
    for name in names:
        if form is ExportFormat.CSV:
            yield f"{name}.csv", to_csv(name, tables[name]).encode()
        elif form is ExportFormat.JSON:
            yield f"{name}.json", to_json(name, tables[name]).encode()
        else:
            yield f"{name}.parquet", parquet_bytes(folder.id, name, tables[name])


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as e:
        raise InputError(str(path), f"cannot be written: {e.strerror}") from e
    typer.echo(str(path), err=True)


# -- printing --------------------------------------------------------------------------------------


def _echo_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, default=_jsonable, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON has no word for a number that is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _jsonable(value: Any) -> Any:
    """Decimals as numbers, dates and the like as text."""
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _echo_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_field(v) for v in row] for row in rows)


def _field(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(_jsonable(value))


def _print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table as wide as the terminal; in a pipe as wide as it needs to be."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from orchestrator.report.terminal import console_for
    from orchestrator.report.words import clean

    shown = [["" if v is None else clean(str(v)) for v in row] for row in rows]
    tty = sys.stdout.isatty()
    table = Table(box=SIMPLE_HEAD if tty else None, pad_edge=False)
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in shown:
        table.add_row(*(Text(cell) for cell in row))
    widths = [max(map(len, cells)) for cells in zip(columns, *shown, strict=True)]
    console_for(width=None if tty else sum(widths) + 2 * len(widths) + 1).print(table)
