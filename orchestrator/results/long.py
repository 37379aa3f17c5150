"""The long tables, `intervals` and `vitals`: written while the journals are read, step by step, and read again as far as they are asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import RunFolderError
from orchestrator.model.plan import StepPlan
from orchestrator.results.course import Course
from orchestrator.results.folder import RunFolder
from orchestrator.results.launch import classify
from orchestrator.results.ledger import StepLog
from orchestrator.results.schema import arrow_schema, to_pandas

LONG = ("intervals", "vitals")
#: A table of more rows is not kept in memory.
_KEPT_ROWS = 1_000_000
#: Rows that are written together: what a step has is found without reading all.
_GROUP = 1 << 17


class _File:
    """One table on its way to the disk."""

    def __init__(self, table: str, run: str, path: Path) -> None:
        self.path = path
        self._schema = arrow_schema(table, run)
        # figures do not repeat themselves: looking for it takes as long as writing them
        few = [f.name for f in self._schema if f.type == pa.string() or f.name in ("launch", "seed")]
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", use_dictionary=few, write_statistics=["step", "launch"]
        )
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, rows: Iterable[pa.Table]) -> None:
        for part in rows:
            self._waiting.append(part)
            self._rows += part.num_rows
            if self._rows >= _GROUP:
                self._write()

    def _write(self) -> None:
        if self._rows:
            whole = pa.concat_tables(self._waiting).replace_schema_metadata(self._schema.metadata)
            self._writer.write_table(whole, row_group_size=self._rows)
        self._waiting, self._rows = [], 0

    def close(self) -> None:
        self._write()
        self._writer.close()


class LongTables:
    """Both, for one reading of a run's journals. Without ``write`` they are nowhere in the run folder, and last as long as this.
    What the disk refuses raises RunFolderError."""

    def __init__(self, folder: RunFolder, *, write: bool) -> None:
        self._run = folder.id
        place = folder.tables if write else Path(tempfile.mkdtemp(prefix="orch-tables-"))
        if not write:
            weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
        self._final = {name: place / f"{name}.parquet" for name in LONG}
        self._files: dict[str, _File] = {}
        try:
            place.mkdir(parents=True, exist_ok=True)
            for name, path in self._final.items():
                self._files[name] = _File(name, folder.id, path.with_name(f".{path.name}.{os.getpid()}"))
        except OSError as e:
            self._remove()
            raise _refused(place, e) from e

    def keep(self, step: StepPlan, log: StepLog, course: Course) -> None:
        """What a step was over time."""
        launches = {n: classify(step, n, entries, []) for n, entries in log.launches.items()}
        begins = {n: entries[0].mono for n, entries in log.launches.items() if entries}
        try:
            self._files["intervals"].add(course.intervals(self._run, step, launches))
            self._files["vitals"].add(course.vitals(self._run, step, begins))
        except OSError as e:
            raise _refused(self._final["intervals"], e) from e

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Each file atomically; none where something went wrong."""
        try:
            for file in self._files.values():
                file.close()
            if kind is None:
                for name, file in self._files.items():
                    file.path.replace(self._final[name])
        except OSError as e:
            if kind is None:
                raise _refused(self._final["intervals"], e) from e
        finally:
            self._remove()

    def _remove(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.path.unlink()

    def read(self, table: str) -> pd.DataFrame:
        """All of it."""
        return to_pandas(pq.read_table(self._final[table]))

    def rows(self, table: str) -> int:
        """How many there are."""
        return int(pq.read_metadata(self._final[table]).num_rows)

    def of_step(self, table: str, step: str) -> pd.DataFrame:
        """Those of one step, without reading the others'; what is the same in all of them is left out."""
        said = ["launch", "metric", "value", "unit", "t_s"]
        return to_pandas(pq.read_table(self._final[table], columns=said, filters=[("step", "==", step)]))


def _refused(path: Path, e: OSError) -> RunFolderError:
    return RunFolderError(str(path), f"cannot be written: {e.strerror or e}")


class RunTables(dict[str, pd.DataFrame]):
    """The tables of a run. A long one is read when it is asked for, and kept only where it is not that long."""

    def __init__(self, tables: dict[str, pd.DataFrame], long: LongTables) -> None:
        super().__init__(tables)
        self._long = long
        self._kept: dict[str, pd.DataFrame] = {}

    def __missing__(self, name: str) -> pd.DataFrame:
        if name not in LONG:
            raise KeyError(name)
        if name in self._kept:
            return self._kept[name]
        rows = self._long.read(name)
        if len(rows) <= _KEPT_ROWS:
            self._kept[name] = rows
        return rows

    def of_step(self, table: str, step: str) -> pd.DataFrame:
        """Of a long table that is not kept only that step's rows are read."""
        if table in LONG and self._long.rows(table) > _KEPT_ROWS:
            return self._long.of_step(table, step)
        rows = self[table]
        return rows[rows["step"] == step]
