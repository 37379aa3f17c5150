"""SQL over the tables of all runs: DuckDB over their Parquet files, one view per table, read-only."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from orchestrator.errors import InputError
from orchestrator.model.tables import TABLES
from orchestrator.results.folder import RunFolder

_SQL_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class Answer:
    columns: list[str]
    rows: list[tuple[Any, ...]]


def query(folders: Sequence[RunFolder], sql: str) -> Answer:
    """One SELECT over views named as the tables. Raises InputError where ``sql`` is anything else, or wrong."""
    with duckdb.connect(":memory:") as db:
        paths = _views(db, folders)
        # the views may read their files, by name and by the pattern that names them; nothing else on this
        # machine is within reach of the statement
        allowed = ", ".join(_literal(p) for p in {*paths, *map(glob.escape, paths)})
        db.execute(f"SET allowed_paths = [{allowed}]")
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET enable_external_access = false")
        db.execute("SET lock_configuration = true")
        try:
            statements = db.extract_statements(sql)
            if len(statements) != 1:
                raise InputError("query", f"expected one SELECT, got {len(statements)} statements")
            if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
                raise InputError("query", f"only SELECT is answered, not {statements[0].type.name}")
            found = db.sql(statements[0]).to_arrow_table()
        except duckdb.Error as e:
            raise InputError("query", _first_lines(e), f"tables: {', '.join(TABLES)}") from e
    # by position: a statement may give two columns of one name
    columns = [_python(c.to_pylist()) for c in found.columns]
    return Answer(list(found.column_names), list(zip(*columns, strict=True)))


def _python(values: list[Any]) -> list[Any]:
    """A sum of integers comes as a decimal without a fraction: as an integer again."""
    whole = all(v is None or (isinstance(v, Decimal) and v.as_tuple().exponent == 0) for v in values)
    return [None if v is None else int(v) for v in values] if whole else values


def _views(db: duckdb.DuckDBPyConnection, folders: Sequence[RunFolder]) -> list[str]:
    """A view for each table, empty and typed where no run has it. Gives the files that they read."""
    used: list[str] = []
    for name, columns in TABLES.items():
        paths = [str(p) for f in folders if (p := f.tables / f"{name}.parquet").is_file()]
        typed = ", ".join(f'NULL::{_SQL_TYPES[c.type]} AS "{c.name}"' for c in columns)
        source = f"SELECT {typed} WHERE false"
        if paths:
            files = ", ".join(_literal(glob.escape(p)) for p in paths)
            source += f" UNION ALL BY NAME SELECT * FROM read_parquet([{files}], union_by_name = true)"  # noqa: S608 - paths only, quoted
        db.execute(f'CREATE VIEW "{name}" AS {source}')
        used += paths
    return used


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_lines(error: duckdb.Error) -> str:
    """Message and hint without the picture of the statement."""
    text = str(error).split("\n\nLINE", 1)[0]
    return " ".join(text.split())
