"""The types of the tables on disk and in memory, from their declaration in `model.tables`. The only place where they are fixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from orchestrator.model.tables import TABLES, TABLES_VERSION

Row = tuple[Any, ...]

_ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_PANDAS = {
    pa.string(): pd.StringDtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
#: A column holds no larger number.
INT64_MAX = 2**63 - 1


def arrow_schema(table: str, run: str = "") -> pa.Schema:
    """The schema of a table's Parquet file: unit and doc on each field, version and run on the whole."""
    fields = [
        pa.field(c.name, _ARROW[c.type], metadata={"unit": c.unit, "doc": c.doc}) for c in TABLES[table]
    ]
    return pa.schema(fields, metadata={"orch.tables_version": str(TABLES_VERSION), "orch.run": run})


def frame(table: str, rows: Sequence[Row]) -> pd.DataFrame:
    """Rows in the table's order of columns → a DataFrame. None is null; a timestamp is seconds since
    the epoch."""
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ([] for _ in TABLES[table])
    arrays = [
        pa.array(_typed(c.type, values), _ARROW[c.type])
        for c, values in zip(TABLES[table], columns, strict=True)
    ]
    return to_pandas(pa.Table.from_arrays(arrays, schema=arrow_schema(table)))


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Nullable integers, booleans and strings; UTC timestamps in microseconds; floats with NaN as null."""
    made: pd.DataFrame = table.to_pandas(types_mapper=_PANDAS.get, ignore_metadata=True)
    return made


def _typed(kind: str, values: Sequence[Any]) -> list[Any]:
    if kind == "timestamp":
        return [None if v is None else round(v * 1e6) for v in values]
    if kind == "float64":
        return [None if v is None else float(v) for v in values]
    if kind == "int64":
        # a seed of 64 bits without sign does not fit: null is better than another number
        return [None if v is None or abs(v) > INT64_MAX else int(v) for v in values]
    return list(values)
