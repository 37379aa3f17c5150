from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import run_folders as rf

from orchestrator.errors import InputError
from orchestrator.model.tables import TABLES
from orchestrator.results.export import records, to_csv, to_json
from orchestrator.results.folder import RunFolder
from orchestrator.results.listing import run_line
from orchestrator.results.query import query
from orchestrator.results.rebuild import Rebuilt, rebuild
from orchestrator.results.tables_doc import tables_markdown

ODD = [1 / 3 * 1e9, 0.1 + 0.2, 1e-17, 123456789.123456789]


def one_run(root: Path, name: str = "r1") -> tuple[RunFolder, Rebuilt]:
    step = rf.step(cell={"a": 'quote " and, comma\nline'})
    builder = rf.Builder.make(root, rf.plan([step]), name).passed(step, ODD)
    folder = builder.finish()
    return folder, rebuild(folder)


def test_csv_has_exactly_the_numbers_of_parquet(tmp_path: Path) -> None:
    folder, rebuilt = one_run(tmp_path)
    read = pd.read_csv(io.StringIO(to_csv("samples", rebuilt.tables["samples"])))
    parquet = pd.read_parquet(folder.tables / "samples.parquet")
    assert read["value"].tolist() == parquet["value"].tolist()
    assert read["t_s"].tolist() == parquet["t_s"].tolist()
    assert read["cell"].tolist() == parquet["cell"].tolist()
    assert read.columns.tolist() == [c.name for c in TABLES["samples"]]


def test_json_has_exactly_the_numbers_of_parquet(tmp_path: Path) -> None:
    folder, rebuilt = one_run(tmp_path)
    read = json.loads(to_json("samples", rebuilt.tables["samples"]))
    table = pq.read_table(folder.tables / "samples.parquet")
    assert [r["value"] for r in read] == table["value"].to_pylist()
    assert [r["launch"] for r in read] == table["launch"].to_pylist()


@pytest.mark.parametrize("name", TABLES)
def test_every_table_exports_plain_values_with_null_for_what_is_missing(tmp_path: Path, name: str) -> None:
    rebuilt = one_run(tmp_path)[1]
    rows = list(records(name, rebuilt.tables[name]))
    assert len(rows) == len(rebuilt.tables[name])
    allowed = {"string": str, "int64": int, "float64": float, "bool": bool, "timestamp": str}
    for row in rows:
        for column in TABLES[name]:
            assert row[column.name] is None or type(row[column.name]) is allowed[column.type]
    if name == "hosts":
        assert rows[0]["cpus"] is None


def test_timestamps_are_exported_in_utc_with_microseconds(tmp_path: Path) -> None:
    rows = list(records("steps", one_run(tmp_path)[1].tables["steps"]))
    assert rows[0]["started"] == "2026-09-21T14:13:20.000000+00:00"


# -- query -----------------------------------------------------------------------------------------


def test_a_query_sees_the_tables_of_all_runs_together(tmp_path: Path) -> None:
    folders = [one_run(tmp_path, n)[0] for n in ("r1", "r2")]
    found = query(
        folders, "select run, count(*) as n from samples where phase = 'measure' group by 1 order by 1"
    )
    assert found.columns == ["run", "n"]
    assert found.rows == [("r1", 16), ("r2", 16)]


def test_a_query_without_any_run_finds_empty_typed_tables() -> None:
    found = query([], "select sum(value) as s, count(*) as n from samples")
    assert found.rows == [(None, 0)]


def test_a_column_that_an_older_run_lacks_is_null_there(tmp_path: Path) -> None:
    folders = [one_run(tmp_path, n)[0] for n in ("r1", "r2")]
    path = folders[0].tables / "samples.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["ok"]), path)
    found = query(folders, "select run, ok from samples group by all order by 1")
    assert found.rows == [("r1", None), ("r2", True)]


def test_timestamps_of_a_query_are_utc(tmp_path: Path) -> None:
    found = query([one_run(tmp_path)[0]], "select min(started) as t from steps")
    assert found.rows[0][0].isoformat() == "2026-09-21T14:13:20+00:00"


def test_a_sum_of_integers_is_an_integer(tmp_path: Path) -> None:
    found = query([one_run(tmp_path)[0]], "select sum(launches) as n, 1 as n from steps")
    assert found.rows == [(4, 1)]
    assert type(found.rows[0][0]) is int


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "selec 1",
        "select nope from runs",
        "select * from nope",
        "select 1; select 2",
        "copy (select 1) to '/tmp/orch-must-not-be.csv'",
        "create table t (a int)",
        "attach '/tmp/orch-must-not-be.db'",
        "set enable_external_access = true",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select cast('a' as int)",
    ],
)
def test_anything_but_a_select_over_the_tables_is_one_clear_error(tmp_path: Path, sql: str) -> None:
    folder = one_run(tmp_path)[0]
    with pytest.raises(InputError) as caught:
        query([folder], sql)
    assert "\n" not in str(caught.value)
    assert not Path("/tmp/orch-must-not-be.csv").exists()


def test_a_folder_name_with_wildcards_is_read_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "it's [a] *"
    root.mkdir()
    assert query([one_run(root)[0]], "select count(*) from runs").rows == [(1,)]


# -- listing and docs ------------------------------------------------------------------------------


def test_a_run_without_tables_is_listed_by_its_id_alone(tmp_path: Path) -> None:
    builder = rf.Builder.make(tmp_path, rf.plan([rf.step()]), "r1")
    line = run_line(builder.folder)
    assert line.pop("run") == "r1"
    assert set(line.values()) == {None}


def test_a_damaged_table_is_listed_as_unreadable(tmp_path: Path) -> None:
    folder = one_run(tmp_path)[0]
    (folder.tables / "runs.parquet").write_bytes(b"PAR1")
    assert run_line(folder)["verdict"] == "unreadable"


def test_the_page_of_the_tables_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"
    assert page.read_text() == tables_markdown(), "python -m orchestrator.results.tables_doc writes it"
