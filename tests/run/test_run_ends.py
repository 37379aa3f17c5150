"""However a workload ends, the run goes on, says what happened, and never calls it a pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from orch_process import endings, only_run, orch, table, write

pytestmark = pytest.mark.ray

BAD = """\
orch: 1
name: bad
hosts: all
defaults: {limits: {wall: 3s}}
jobs:
  - {name: segfault, workload: command, with: {argv: [sh, -c, "kill -SEGV $$"]}}
  - {name: hang, workload: command, with: {argv: [sleep, "100"]}}
  - {name: status, workload: command, with: {argv: [sh, -c, "exit 3"]}}
  - {name: absent, workload: command, with: {argv: [/nonexistent]}}
  - {name: after, needs: [segfault], workload: command, with: {argv: ["true"]}}
  - {name: fine, workload: command, with: {argv: ["true"]}}
exports: [csv, json, junit]
"""


def test_every_bad_end_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    ended = orch("run", "playbook", write(tmp_path, "bad.yml", BAD), "--runs", tmp_path / "runs")
    assert ended.code == 1, ended.err
    run = only_run(tmp_path / "runs")
    said = {step.split("-")[0]: end for step, end in endings(run).items()}
    assert {k: s for k, (s, _) in said.items()} == {
        "segfault": "failed",
        "hang": "failed",
        "status": "failed",
        "absent": "failed",
        "after": "skipped",
        "fine": "passed",
    }
    assert "SIGSEGV" in said["segfault"][1]
    assert "time limit" in said["hang"][1]
    assert "exit status 3" in said["status"][1]
    assert "No such file" in said["absent"][1]
    assert said["after"][1] == "needs segfault, which failed on local"
    assert ended.out.count("VIOLATED") == 1
    assert "Traceback" not in ended.out + ended.err
    hang = next(run.glob("evidence/local/hang-*/0"))
    assert "sleep 100" in (hang / "processes.txt").read_text()
    assert f"look:  {hang}" in ended.out
    assert not list(run.glob("evidence/local/fine-*"))
    assert (run / "junit.xml").is_file()
    assert json.loads((run / "json" / "steps.json").read_text())


RECORDS = """\
orch: 1
name: records
seed: 7
hosts: all
jobs:
  - name: thirdparty
    workload: command
    with:
      argv:
        - sh
        - -c
        - >-
          echo '{"type":"hello","protocol":1,"build":"b","variant":"release","bench":"x","threads":1,"cpus":[],"seed":1}';
          echo '{"type":"interval","phase":"warmup","t":0.1,"dt":0.1,"ops":99}';
          echo '{"type":"interval","phase":"measure","t":0.2,"dt":0.1,"ops":10}';
          echo '{"type":"result","status":"ok","seconds":0.1,"ops":10,"violations":0,"metrics":[{"metric":"ops_per_second","value":100.5,"unit":"1/s"}]}'
    launches: 2
"""


def test_a_program_that_prints_records_is_measured_and_its_warm_up_kept_out(tmp_path: Path) -> None:
    ended = orch("run", "playbook", write(tmp_path, "r.yml", RECORDS), "--runs", tmp_path / "runs", "--json")
    assert ended.code == 0, ended.err
    run = only_run(tmp_path / "runs")
    assert json.loads(ended.out)["run"] == run.name
    samples = table(run, "samples")
    measured = samples[(samples.phase == "measure") & (samples.metric == "ops_per_second")]
    assert list(measured.value) == [100.5, 100.5]
    assert sorted(measured.launch) == [0, 1]
    assert 990.0 not in set(samples.value)
    csv = orch(
        "results",
        "export",
        run.name,
        "--runs",
        tmp_path / "runs",
        "--format",
        "csv",
        "--table",
        "samples",
        "--out",
        "-",
    )
    assert csv.out.count("100.5") == 2

    sql = "select count(*) as n from samples where phase = 'measure'"
    asked = orch("results", "query", sql, "--runs", tmp_path / "runs", "--json")
    assert json.loads(asked.out) == [{"n": len(samples[samples.phase == "measure"])}]


def test_the_plan_is_the_same_to_the_byte_and_the_report_is_rebuilt_offline(tmp_path: Path) -> None:
    book = write(tmp_path, "r.yml", RECORDS)
    first = orch("run", "playbook", book, "--runs", tmp_path / "a")
    second = orch("run", "playbook", book, "--runs", tmp_path / "b")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    a, b = only_run(tmp_path / "a"), only_run(tmp_path / "b")
    assert (a / "plan.json").read_bytes() == (b / "plan.json").read_bytes()

    before = table(a, "samples")
    for path in (a / "tables").iterdir():
        path.unlink()
    (a / "findings.json").unlink()
    again = orch("report", a.name, "--runs", tmp_path / "a")
    assert again.code == 0, again.err
    assert again.out.splitlines()[3:] == first.out.splitlines()[3:]
    assert table(a, "samples").equals(before)


def test_the_plan_is_on_disk_before_anything_is_written_on_a_host(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    inventory = write(tmp_path, "here.yml", f"hosts: {{here: {{local: true, spool: {spool}}}}}\n")
    book = write(tmp_path, "r.yml", RECORDS)
    planned = orch("plan", book, "-i", inventory)
    assert planned.code == 0, planned.err
    assert not spool.exists()
    ended = orch("run", "playbook", book, "-i", inventory, "--runs", tmp_path / "runs")
    assert ended.code == 0, ended.err
    plan = (only_run(tmp_path / "runs") / "plan.json").stat()
    files = [p.lstat().st_mtime_ns for p in spool.rglob("*") if p.is_file()]
    assert len(files) > 2
    assert min(files) > plan.st_mtime_ns
