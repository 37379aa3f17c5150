from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import run_folders as rf

from agents.wire import Entry
from orchestrator.errors import InputError
from orchestrator.model.finding import Verdict
from orchestrator.model.outcome import Status
from orchestrator.model.plan import StepPlan
from orchestrator.model.tables import TABLES, TABLES_VERSION
from orchestrator.results.fold import fold
from orchestrator.results.folder import RunFolder
from orchestrator.results.journals import read_journals
from orchestrator.results.rebuild import Rebuilt, rebuild, statuses
from orchestrator.results.schema import frame
from orchestrator.results.store import is_current, read_tables
from orchestrator.results.tables import build_tables


def sample(root: Path) -> rf.Builder:
    steps = [
        rf.step("scaling", 0, cell={"threads": 1}),
        rf.step("scaling", 1, cell={"threads": 2}, threads=2, cpus=[1, 2]),
        rf.step("scaling", 2, cell={"threads": 64}, threads=64, skip="64 threads on 4 CPUs"),
    ]
    builder = rf.Builder.make(root, rf.plan(steps)).facts("h1")
    builder.passed(steps[0], [1e6, 1.01e6, 0.99e6])
    return builder.passed(steps[1], [1.9e6, 1.92e6, 1.88e6])


@pytest.fixture
def rebuilt(tmp_path: Path) -> Rebuilt:
    return rebuild(sample(tmp_path).finish())


PANDAS = {
    "string": pd.StringDtype(),
    "int64": pd.Int64Dtype(),
    "float64": "float64",
    "bool": pd.BooleanDtype(),
    "timestamp": "datetime64[us, UTC]",
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_the_columns_and_types_of_its_schema(rebuilt: Rebuilt, name: str) -> None:
    expected = {c.name: PANDAS[c.type] for c in TABLES[name]}
    assert dict(rebuilt.tables[name].dtypes) == expected


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_has_the_same_types(name: str) -> None:
    assert dict(frame(name, []).dtypes) == {c.name: PANDAS[c.type] for c in TABLES[name]}


@pytest.mark.parametrize("name", TABLES)
def test_parquet_carries_types_units_docs_version_and_run(tmp_path: Path, name: str) -> None:
    folder = sample(tmp_path).finish()
    rebuilt = rebuild(folder)
    table = pq.read_table(folder.tables / f"{name}.parquet")
    assert table.schema.metadata[b"orch.tables_version"].decode() == str(TABLES_VERSION)
    assert table.schema.metadata[b"orch.run"].decode() == folder.id
    for column in TABLES[name]:
        field = table.schema.field(column.name)
        assert field.metadata[b"unit"].decode() == column.unit
        assert field.metadata[b"doc"].decode() == column.doc
    pd.testing.assert_frame_equal(read_tables(folder)[name], rebuilt.tables[name])


def test_a_launch_gives_one_measure_row_per_metric_at_its_end(rebuilt: Rebuilt) -> None:
    measure = rebuilt.tables["samples"]
    assert set(measure["phase"]) == {"measure"}
    assert len(measure) == 6 * 4
    assert not measure.duplicated(["host", "step", "launch", "metric"]).any()
    first = measure[(measure["step"] == "scaling-0000@h1") & (measure["launch"] == 1)]
    assert first[first["metric"] == "ops_per_second"]["value"].tolist() == [1.01e6]
    assert first["t_s"].tolist() == pytest.approx([1.4] * 4)
    assert first["seed"].tolist() == [1001] * 4
    assert set(first["build"]) == {rf.BUILD}


def test_warm_up_is_kept_out_and_intervals_are_rates(rebuilt: Rebuilt) -> None:
    rows = rebuilt.tables["intervals"]
    intervals = rows[(rows["step"] == "scaling-0000@h1") & (rows["launch"] == 0)]
    assert intervals["value"].tolist() == [1e6, 1e6]
    assert intervals["t_s"].tolist() == [0.6, 1.1]
    assert not rows["value"].isin([999 / 0.5]).any()


def test_the_steps_table_has_every_step_of_the_plan(rebuilt: Rebuilt) -> None:
    steps = rebuilt.tables["steps"]
    assert steps["step"].tolist() == [s.id for s in rebuilt.plan.steps]
    assert steps["status"].tolist() == ["passed", "passed", "skipped"]
    assert steps["launches_ok"].tolist() == [3, 3, 0]
    assert steps["started"].isna().tolist() == [False, False, True]
    assert steps["started"][0] == pd.Timestamp(rf.T0, unit="s", tz="UTC")


def test_hosts_carry_their_facts_and_only_cpus_that_may_be_used(rebuilt: Rebuilt) -> None:
    host = rebuilt.tables["hosts"].iloc[0]
    assert (host["status"], host["cpus"], host["numa_nodes"], bool(host["emulated"])) == ("ok", 3, 1, False)
    assert host["bytes_shipped"] == 9


@pytest.mark.parametrize(
    ("given", "steal", "said"),
    [
        ({}, 0.0, ""),
        ({"quota_cpus": 3.0}, 5.0, ""),
        ({"quota_cpus": 1.5}, 0.0, "oversubscribed: 3 CPUs, and the time of 1.5"),
        ({}, 12.0, "oversubscribed: 12% of its CPUs' time went to others"),
        ({"virtualisation": "qemu-tcg"}, 0.0, "emulated: qemu-tcg"),
    ],
)
def test_a_host_that_is_not_what_it_seems_is_marked_with_the_reason(
    tmp_path: Path, given: dict[str, Any], steal: float, said: str
) -> None:
    step = rf.step()
    builder = rf.Builder.make(tmp_path, rf.plan([step])).facts("h1", **given)
    entries = rf.launch_entries(step)
    vitals = [
        dataclasses.replace(entries[1], seq=100 + n, kind="vital", data={"steal": steal}) for n in range(4)
    ]
    builder.launch(step, [*entries[:-1], *vitals, entries[-1]]).say("step_done", step)
    host = rebuild(builder.finish()).tables["hosts"].iloc[0]
    assert (host["marks"], bool(host["emulated"])) == (said, bool(said))


def test_a_host_that_was_throttled_while_it_was_measured_is_marked(tmp_path: Path) -> None:
    step = rf.step()
    entries = rf.launch_entries(step)
    hot = {"level": "suspect", "what": "throttled", "text": "core_throttle_count: 3 more"}
    told = dataclasses.replace(entries[1], seq=100, kind="health", data=hot)
    builder = rf.Builder.make(tmp_path, rf.plan([step])).facts("h1")
    builder.launch(step, [*entries[:-1], told, entries[-1]]).say("step_done", step)
    host = rebuild(builder.finish()).tables["hosts"].iloc[0]
    assert host["marks"].startswith("throttled: ")
    assert host["emulated"]


def test_two_hosts_of_one_kernel_are_marked_as_shared(tmp_path: Path) -> None:
    steps = [rf.step(host="h1"), rf.step(host="h2")]
    builder = rf.Builder.make(tmp_path, rf.plan(steps))
    for step in steps:
        builder.facts(step.host, boot_id="one").passed(step)
    folder = builder.finish()
    hosts = rebuild(folder).tables["hosts"]
    assert hosts["marks"].tolist() == ["shared: another host of the run has the same kernel"] * 2


def test_a_host_that_is_lost_in_the_middle_is_lost_and_keeps_what_was_known_of_it(tmp_path: Path) -> None:
    gone = {
        "host": "h1",
        "status": "lost",
        "reason": "out of reach",
        "bytes_shipped": 0,
        "clock_offset_s": None,
    }
    host = rebuild(sample(tmp_path).note("host", gone).finish()).tables["hosts"].iloc[0]
    assert (host["status"], host["reason"]) == ("lost", "out of reach")
    assert (host["bytes_shipped"], host["clock_offset"]) == (9, 0.0)


@pytest.mark.parametrize(("virtualisation", "emulated"), [("qemu-tcg", True), ("kvm", False)])
def test_a_host_under_an_emulator_is_marked(tmp_path: Path, virtualisation: str, emulated: bool) -> None:
    rebuilt = rebuild(sample(tmp_path).facts("h1", virtualisation=virtualisation).finish())
    assert rebuilt.tables["hosts"]["emulated"].tolist() == [emulated]


def test_a_host_that_the_inventory_marks_is_marked(tmp_path: Path) -> None:
    builder = rf.Builder.make(tmp_path, rf.plan([rf.step(host=h) for h in ("h1", "h2")])).facts("h2")
    builder.folder.write("inventory.yml", "hosts:\n  h1: {emulated: true}\n  h2: {emulated: false}\n")
    assert rebuild(builder.finish()).tables["hosts"]["emulated"].tolist() == [True, False]


def test_an_inventory_that_cannot_be_read_marks_nothing_and_stops_nothing(tmp_path: Path) -> None:
    builder = rf.Builder.make(tmp_path, rf.plan([rf.step()])).facts("h1")
    builder.folder.write("inventory.yml", "hosts: [")
    assert rebuild(builder.finish()).tables["hosts"]["emulated"].tolist() == [False]
    assert "inventory.yml" in builder.folder.log.read_text()


def test_hosts_that_share_one_kernel_are_marked(tmp_path: Path) -> None:
    steps = [rf.step(host=h) for h in ("h1", "h2", "h3")]
    builder = rf.Builder.make(tmp_path, rf.plan(steps))
    for host, boot in (("h1", "a"), ("h2", "a"), ("h3", "b")):
        builder.facts(host, boot_id=boot)
    assert rebuild(builder.finish()).tables["hosts"]["emulated"].tolist() == [True, True, False]


def test_a_clean_run_holds_with_exit_0(rebuilt: Rebuilt) -> None:
    assert (rebuilt.verdict, rebuilt.exit_code) == (Verdict.HOLDS, 0)
    run = rebuilt.tables["runs"].iloc[0]
    assert (run["verdict"], run["exit_code"], run["steps_planned"], run["steps_skipped"]) == (
        "holds",
        0,
        3,
        1,
    )
    assert run["started"] is not pd.NaT
    assert not bool(run["git_dirty"])


def two_steps(root: Path) -> tuple[rf.Builder, list[StepPlan]]:
    steps = [rf.step("a", 0), rf.step("a", 1)]
    return rf.Builder.make(root, rf.plan(steps)).passed(steps[0], [1e6, 1e6, 1e6]), steps


def test_a_violation_gives_exit_1_and_names_the_contract(tmp_path: Path) -> None:
    builder, steps = two_steps(tmp_path)
    bad = [rf.hello(steps[1]), rf.violation("C3"), rf.result(status="violated", violations=5)]
    builder.launch(steps[1], rf.launch_entries(steps[1], 0, bad, rf.ended(exit=1))).say("step_done", steps[1])
    rebuilt = rebuild(builder.finish())
    assert rebuilt.exit_code == 1
    found = next(f for f in rebuilt.findings if f.analysis == "contracts")
    assert (found.verdict, found.subject, found.value) == (Verdict.VIOLATED, "a C3", 5.0)
    assert found.evidence[0].step == steps[1].id
    samples = rebuilt.tables["samples"]
    assert not samples[samples["step"] == steps[1].id]["ok"].any()


def test_a_lost_step_gives_exit_3(tmp_path: Path) -> None:
    builder, steps = two_steps(tmp_path)
    rebuilt = rebuild(builder.say("step_lost", steps[1], "refused").finish())
    assert (rebuilt.verdict, rebuilt.exit_code) == (Verdict.UNKNOWN, 3)


def test_a_stopped_step_gives_exit_4(tmp_path: Path) -> None:
    builder, steps = two_steps(tmp_path)
    assert rebuild(builder.say("step_stopped", steps[1], "unhealthy").finish()).exit_code == 4


def test_a_failed_step_outweighs_a_lost_one(tmp_path: Path) -> None:
    steps = [rf.step("a", n) for n in range(2)]
    builder = rf.Builder.make(tmp_path, rf.plan(steps)).say("step_failed", steps[0], "no program")
    rebuilt = rebuild(builder.say("step_lost", steps[1]).finish())
    assert (rebuilt.verdict, rebuilt.exit_code) == (Verdict.VIOLATED, 1)


def test_an_interrupted_run_gives_exit_130(tmp_path: Path) -> None:
    builder, _ = two_steps(tmp_path)
    assert rebuild(builder.finish(interrupted=True)).exit_code == 130


def test_a_run_in_which_nothing_ran_is_unknown(tmp_path: Path) -> None:
    builder = rf.Builder.make(tmp_path, rf.plan([rf.step(skip="no such CPU")]))
    assert (rebuild(builder.finish()).verdict) is Verdict.UNKNOWN


def test_a_killed_controller_leaves_a_folder_that_can_be_rebuilt(tmp_path: Path) -> None:
    builder, steps = two_steps(tmp_path)
    builder.launch(steps[1], rf.launch_entries(steps[1])[:3])
    builder.raw(f"journal/h1/{steps[1].id}.ndjson", '{"data":{"ty')
    builder.raw("journal/controller.ndjson", '{"data"')
    rebuilt = rebuild(builder.folder)
    assert [o.status for o in rebuilt.outcomes] == [Status.PASSED, Status.LOST]
    assert rebuilt.exit_code == 3
    kinds = set(rebuilt.tables["events"]["kind"])
    assert {"fault", "launch_lost"} <= kinds


def test_a_folder_without_any_journal_is_all_lost(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r")
    folder.write("plan.json", rf.plan([rf.step()]).to_json())
    rebuilt = rebuild(folder)
    assert [o.status for o in rebuilt.outcomes] == [Status.LOST]
    assert rebuilt.tables["hosts"]["status"].tolist() == ["lost"]
    assert rebuilt.took_s == 0


def test_a_plan_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r")
    folder.write("plan.json", '{"schema": 1}')
    with pytest.raises(InputError, match=r"plan\.json.*not a plan"):
        rebuild(folder)


def test_rebuilding_twice_gives_the_same_findings_and_tables(tmp_path: Path) -> None:
    folder = sample(tmp_path).finish()
    first = rebuild(folder)
    files = {p.name: p.read_bytes() for p in folder.tables.iterdir()}
    findings = folder.findings.read_bytes()
    assert rebuild(folder).findings == first.findings
    assert {p.name: p.read_bytes() for p in folder.tables.iterdir()} == files
    assert folder.findings.read_bytes() == findings


def test_findings_json_says_verdict_exit_code_and_version(tmp_path: Path) -> None:
    folder = sample(tmp_path).finish()
    rebuild(folder)
    said = json.loads(folder.findings.read_text())
    assert (said["verdict"], said["exit_code"], said["tables_version"]) == ("holds", 0, TABLES_VERSION)
    assert said["findings"]


def test_a_rebuild_without_writing_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    folder = sample(tmp_path).finish()
    before = sorted(folder.path.rglob("*"))
    rebuild(folder, write=False)
    assert sorted(folder.path.rglob("*")) == before


def test_unreadable_facts_leave_nulls_and_a_line_in_the_log(tmp_path: Path) -> None:
    builder = sample(tmp_path)
    builder.folder.write("facts/h1.json", "{}")
    rebuilt = rebuild(builder.finish())
    assert rebuilt.tables["hosts"]["cpus"].isna().all()
    assert "facts of h1" in builder.folder.log.read_text()


def test_a_number_too_large_for_a_column_is_null_and_no_crash(tmp_path: Path) -> None:
    step = dataclasses.replace(rf.step(), seed=2**64 - 5)
    builder = rf.Builder.make(tmp_path, rf.plan([step])).passed(step)
    assert rebuild(builder.finish()).tables["steps"]["seed"].isna().all()


def test_tables_are_current_until_a_journal_is_newer(tmp_path: Path) -> None:
    builder = sample(tmp_path)
    assert not is_current(builder.folder)
    rebuild(builder.folder)
    assert is_current(builder.folder)
    time.sleep(0.02)
    builder.finish()
    assert not is_current(builder.folder)


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    folder = sample(tmp_path).finish()
    rebuild(folder)
    path = folder.tables / "runs.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"orch.tables_version": "99"}), path)
    with pytest.raises(InputError, match="version 99"):
        read_tables(folder)


def test_statuses_of_some_steps_can_be_asked_while_the_run_goes_on(tmp_path: Path) -> None:
    builder, steps = two_steps(tmp_path)
    said = [Entry(0, 0, rf.T0, 0.0, "step_done", {"step": steps[0].id})]
    assert statuses(builder.folder, [steps[0]], said) == {steps[0].id: (Status.PASSED, "3 launches ok")}


def test_vitals_become_rows_with_units(rebuilt: Rebuilt) -> None:
    vitals = rebuilt.tables["vitals"]
    assert set(zip(vitals["metric"], vitals["unit"], strict=True)) == {("rss", "B")}


def test_histograms_and_counters_are_kept(tmp_path: Path) -> None:
    step = rf.step()
    histogram = {"type": "histogram", "metric": "latency", "unit": "ns", "phase": "measure"}
    counter = {"type": "counter", "name": "retries", "value": 4, "unit": "1"}
    extra: list[dict[str, Any]] = [{**histogram, "encoding": "hdr-v2-base64", "data": "HIST"}, counter]
    records = rf.good_records(step)
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    builder.launch(step, rf.launch_entries(step, 0, [*records[:-1], *extra, records[-1]])).say(
        "step_done", step
    )
    tables = rebuild(builder.finish()).tables
    assert tables["histograms"]["data"].tolist() == ["HIST"]
    assert tables["latencies"].empty, "what cannot be read has no percentiles"
    events = tables["events"]
    assert events[events["kind"] == "counter"]["text"].tolist() == ["retries = 4 1"]


def test_a_histogram_that_can_be_read_has_percentiles(tmp_path: Path) -> None:
    step = rf.step()
    # 5000, 70000 and 999999999, steps of 2 digits
    data = "HISTFAAAACl4nJNpmSzMwMDAwQABTBCK+QWItJ51isH+A0REkOk3I9NJaSYAjUMHAQ=="
    told = {"type": "histogram", "metric": "latency", "unit": "ns", "phase": "measure"}
    records = rf.good_records(step)
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    one = [*records[:-1], {**told, "encoding": "hdr-v2-base64", "data": data}, records[-1]]
    builder.launch(step, rf.launch_entries(step, 0, one)).say("step_done", step)
    rows = rebuild(builder.finish()).tables["latencies"]
    assert rows[["metric", "unit", "count"]].values.tolist() == [["latency", "ns", 3]]
    assert rows[["min", "p50", "p99", "max"]].values.tolist() == [[4608, 70143, 1002438655, 1002438655]]


def test_tables_of_a_plan_without_steps_are_empty_and_typed() -> None:
    plan = rf.plan([])
    folder = RunFolder(Path("/nonexistent"))
    journals = read_journals(folder, plan)
    tables = build_tables("r", plan, journals, fold(plan, journals), {})
    assert len(tables["samples"]) == 0
