from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pyarrow.parquet as pq
import pytest
import run_folders as rf
import typer
from typer.testing import CliRunner, Result

from orchestrator.cli import report, results
from orchestrator.errors import InputError
from orchestrator.model.tables import TABLES
from orchestrator.results.rebuild import rebuild

app = typer.Typer()
app.add_typer(results.app, name="results")
app.command("report")(report.report)

ID = "20261123-201530-sample-0001"
LAST = "20261124-000000-bad-0002"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two runs: one that holds, and one whose controller was killed in the middle of a line."""
    step = rf.step()
    builder = rf.Builder.make(tmp_path, rf.plan([step]), ID).passed(step, [1 / 3 * 1e7, 1e7, 1e7])
    rebuild(builder.finish())
    steps = [rf.step(), rf.step(number=1)]
    killed = rf.Builder.make(tmp_path, rf.plan(steps), LAST).passed(steps[0])
    killed.launch(steps[1], rf.launch_entries(steps[1])[:3])
    killed.raw(f"journal/h1/{steps[1].id}.ndjson", '{"data"')
    killed.raw("journal/controller.ndjson", '{"da')
    return tmp_path


def call(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"ORCH_RUNS": str(root)}, catch_exceptions=True)


def test_report_exits_as_the_run_did_and_writes_everything_anew(root: Path) -> None:
    found = call(root, "report", ID)
    assert found.exit_code == 0
    assert "HOLDS" in found.stdout


def test_report_works_after_the_controller_was_killed(root: Path) -> None:
    found = call(root, "report", "last", "--json")
    said = json.loads(found.stdout)
    assert (found.exit_code, said["verdict"], said["exit_code"]) == (3, "unknown", 3)
    assert [s["status"] for s in said["steps"]] == ["passed", "lost"]
    assert (root / LAST / "tables" / "samples.parquet").is_file()
    assert (root / LAST / "findings.json").is_file()


def test_report_takes_a_beginning_a_path_or_the_last_run(root: Path) -> None:
    for name in ("20261123", str(root / ID)):
        assert json.loads(call(root, "report", name, "--json").stdout)["run"] == ID
    assert json.loads(call(root, "report", "--json").stdout)["run"] == LAST


def test_the_option_runs_is_stronger_than_the_environment(root: Path, tmp_path: Path) -> None:
    found = call(tmp_path / "nowhere", "report", ID, "--runs", str(root))
    assert found.exit_code == 0


def test_an_unknown_run_is_an_input_error_with_the_newest(root: Path) -> None:
    found = call(root, "report", "nope")
    assert isinstance(found.exception, InputError)
    assert LAST in str(found.exception)


def test_list_shows_every_run_and_leaves_blank_what_is_not_computed(root: Path) -> None:
    said = json.loads(call(root, "results", "list", "--json").stdout)
    assert [(r["run"], r["verdict"]) for r in said] == [(ID, "holds"), (LAST, None)]
    assert ID in call(root, "results", "list").stdout


def test_list_without_runs_is_an_empty_list(tmp_path: Path) -> None:
    assert json.loads(call(tmp_path, "results", "list", "--json").stdout) == []
    assert call(tmp_path, "results", "list").exit_code == 0


def test_show_exits_with_0_and_writes_nothing(root: Path) -> None:
    found = call(root, "results", "show", LAST)
    assert found.exit_code == 0
    assert "UNKNOWN" in found.stdout
    assert not (root / LAST / "tables").exists()


def test_export_csv_gives_the_numbers_of_parquet(root: Path) -> None:
    found = call(root, "results", "export", ID, "--format", "csv")
    read = pd.read_csv(io.StringIO(found.stdout))
    assert (
        read["value"].tolist() == pd.read_parquet(root / ID / "tables" / "samples.parquet")["value"].tolist()
    )


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_export_into_a_folder_writes_every_table(root: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    assert call(root, "results", "export", LAST, "--format", form, "--out", str(out)).exit_code == 0
    assert {p.name for p in out.iterdir()} == {f"{t}.{form}" for t in TABLES}


def test_export_parquet_reads_back(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call(root, "results", "export", ID, "--format", "parquet", "--table", "steps", "--out", str(out))
    assert pd.read_parquet(out / "steps.parquet")["status"].tolist() == ["passed"]


def test_export_json_of_one_table_is_a_list_of_records(root: Path) -> None:
    said = json.loads(call(root, "results", "export", ID, "--format", "json", "--table", "steps").stdout)
    assert [s["status"] for s in said] == ["passed"]


def test_export_junit_is_xml(root: Path) -> None:
    found = call(root, "results", "export", LAST, "--format", "junit")
    assert ET.fromstring(found.stdout).get("errors") == "1"


def test_export_of_an_unknown_table_names_those_that_there_are(root: Path) -> None:
    found = call(root, "results", "export", ID, "--table", "sample")
    assert isinstance(found.exception, InputError)
    assert "samples" in str(found.exception)


def test_export_follows_a_journal_that_has_grown(root: Path) -> None:
    step = rf.step(number=5)
    builder = rf.Builder.make(root, rf.plan([step]), "20261125-x")
    rebuild(builder.folder)
    builder.passed(step)
    later = builder.folder.controller_journal.stat().st_mtime + 1
    os.utime(builder.folder.controller_journal, (later, later))
    found = call(root, "results", "export", "20261125-x", "--table", "steps")
    assert [r["status"] for r in csv.DictReader(io.StringIO(found.stdout))] == ["passed"]


def test_query_answers_over_all_runs_and_computes_missing_tables(root: Path) -> None:
    sql = "select run, count(*) as n from steps group by 1 order by 1"
    said = json.loads(call(root, "results", "query", sql, "--json").stdout)
    assert said == [{"run": ID, "n": 1}, {"run": LAST, "n": 2}]


def of_another_version(path: Path) -> None:
    table = pq.read_table(path)
    old = {**table.schema.metadata, b"orch.tables_version": b"0"}
    pq.write_table(table.slice(0, 0).replace_schema_metadata(old), path)


def damaged(path: Path) -> None:
    path.write_bytes(b"PAR1 not")


@pytest.mark.parametrize("spoil", [of_another_version, damaged])
def test_tables_that_are_damaged_or_of_another_version_are_computed_anew(
    root: Path, spoil: Callable[[Path], None]
) -> None:
    sql = "select count(*) as n from steps"
    before = json.loads(call(root, "results", "query", sql, "--json").stdout)
    spoil(root / LAST / "tables" / "steps.parquet")
    assert json.loads(call(root, "results", "query", sql, "--json").stdout) == before


def test_query_prints_csv_and_a_plain_table(root: Path) -> None:
    sql = "select step, value from samples where launch = 0 and phase = 'measure' and metric = 'ops_per_second' order by 2"
    found = call(root, "results", "query", sql, "--format", "csv")
    assert found.stdout.splitlines() == [
        "step,value",
        "scaling-0000@h1,1000000.0",
        f"scaling-0000@h1,{1 / 3 * 1e7!r}",
    ]
    assert "scaling-0000@h1  1000000.0" in call(root, "results", "query", sql).stdout


def test_query_leaves_out_a_run_without_a_readable_plan_and_says_so(root: Path) -> None:
    (root / "20261126-broken").mkdir()
    (root / "20261126-broken" / "plan.json").write_text("{")
    found = call(root, "results", "query", "select count(*) as n from runs", "--json")
    assert json.loads(found.stdout) == [{"n": 2}]
    assert "left out" in found.stderr


def test_a_wrong_query_is_an_input_error(root: Path) -> None:
    found = call(root, "results", "query", "selec 1")
    assert isinstance(found.exception, InputError)
    assert found.exception.exit_code == 2
