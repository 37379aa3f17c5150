"""Tables on disk: Parquet, one file per table, typed by `model.tables`, units and docs in the metadata."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import InputError
from orchestrator.model.tables import TABLES, TABLES_VERSION
from orchestrator.results.folder import RunFolder
from orchestrator.results.schema import arrow_schema, to_pandas
from orchestrator.results.tables import Tables


def write_tables(folder: RunFolder, tables: Tables) -> None:
    """Each file atomically. Raises RunFolderError."""
    for name, frame in tables.items():
        folder.write(f"tables/{name}.parquet", parquet_bytes(folder.id, name, frame))


def parquet_bytes(run: str, name: str, frame: pd.DataFrame) -> bytes:
    """The Parquet file of one table."""
    schema = arrow_schema(name, run)
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    sink = pa.BufferOutputStream()
    # from_pandas adds its own metadata, which would override ours on reading
    pq.write_table(table.replace_schema_metadata(schema.metadata), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def read_tables(folder: RunFolder) -> Tables:
    """Raises InputError where a file is missing, damaged, or of another version of the tables."""
    tables: Tables = {}
    for name in TABLES:
        path = folder.tables / f"{name}.parquet"
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as e:
            raise InputError(str(path), f"cannot be read: {e}", "orch report RUN computes it anew") from e
        version = _version(table.schema.metadata)
        if version != str(TABLES_VERSION):
            raise InputError(
                str(path),
                f"version {version} of the tables, not {TABLES_VERSION}",
                "orch report RUN computes it anew",
            )
        tables[name] = to_pandas(table)
    return tables


def is_current(folder: RunFolder) -> bool:
    """The tables are there, whole and of this version, and no journal is newer than they are."""
    written = [folder.tables / f"{name}.parquet" for name in TABLES]
    try:
        versions = {_version(pq.read_metadata(p).metadata) for p in written}
    except (OSError, pa.ArrowException):
        return False
    if versions != {str(TABLES_VERSION)}:
        return False
    oldest = min(p.stat().st_mtime_ns for p in written)
    journals = (folder.path / "journal").rglob("*.ndjson")
    return all(p.stat().st_mtime_ns <= oldest for p in journals)


def _version(metadata: dict[bytes, bytes] | None) -> str:
    return (metadata or {}).get(b"orch.tables_version", b"?").decode()
