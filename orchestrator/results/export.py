"""Tables as CSV, JSON and Parquet. The same numbers in each: a float is written so that it reads back as
the same float."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from orchestrator.model.tables import TABLES


def to_csv(table: str, frame: pd.DataFrame) -> str:
    """A header line, then one line per row. Null is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([c.name for c in TABLES[table]])
    writer.writerows([_field(v) for v in row.values()] for row in records(table, frame))
    return out.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def to_json(table: str, frame: pd.DataFrame) -> str:
    """A list of records."""
    return json.dumps(list(records(table, frame)), allow_nan=False) + "\n"


def records(table: str, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One dictionary of plain values per row; null is None, a timestamp ISO 8601 in UTC."""
    names = [c.name for c in TABLES[table]]
    columns = [_plain(c.type, frame[c.name]) for c in TABLES[table]]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _plain(kind: str, column: pd.Series[Any]) -> list[Any]:
    if kind == "timestamp":
        return [None if pd.isna(v) else v.isoformat(timespec="microseconds") for v in column]
    if kind == "float64":
        return [None if math.isnan(v) else float(v) for v in column]
    cast = {"int64": int, "bool": bool, "string": str}[kind]
    return [None if v is pd.NA else cast(v) for v in column]
