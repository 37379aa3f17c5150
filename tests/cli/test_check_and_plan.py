"""`orch check` says everything that is wrong; `orch plan` says what would be done, and contacts nobody with --facts."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from agents.facts import collect
from orchestrator.model.playbook import playbook_schema

ROOT = Path(__file__).parents[2]

BOOK = """
orch: 1
name: two
hosts: "all:!spare"
jobs:
  - name: a
    workload: command
    with: {argv: ["true"]}
    matrix: {threads: [1, 4096]}
    measure: {seconds: 1s}
"""
FLEET = "hosts: [n1, n2, spare]\n"


def orch(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "orchestrator.cli.app", *map(str, words)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=240)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    (tmp_path / "two.yml").write_text(BOOK)
    (tmp_path / "fleet.yml").write_text(FLEET)
    (tmp_path / "facts").mkdir()
    (tmp_path / "facts" / "n1.json").write_text(json.dumps(asdict(collect(str(tmp_path)))))
    return tmp_path


def planned(case: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return orch("plan", case / "two.yml", "-i", case / "fleet.yml", *words)


def test_a_right_playbook_is_ok(case: Path) -> None:
    ran = orch("check", case / "two.yml", "-i", case / "fleet.yml")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{case}/two.yml: OK (1 job, 2 cells)\n", "")


def test_every_error_of_every_file_is_said_and_the_exit_code_is_2(case: Path) -> None:
    bad = case / "bad.yml"
    bad.write_text("orch: 1\nname: x\nhosts: n9\njobs: [{name: a, workload: comand}]\n")
    ran = orch("check", case / "two.yml", bad, case / "none.yml", "-i", case / "fleet.yml")
    assert ran.returncode == 2
    assert ran.stdout == f"{case}/two.yml: OK (1 job, 2 cells)\n"
    assert ran.stderr.splitlines() == [
        f"orch: {bad}:3: hosts: no host or group 'n9' in {case}/fleet.yml (there are all, ungrouped, n1, n2, spare)",
        f"orch: {bad}:4: jobs[0].workload: unknown workload 'comand' (did you mean 'command'?)",
        f"orch: {case}/none.yml: cannot be read: No such file or directory",
    ]


def test_errors_come_as_json_where_that_is_asked_for(case: Path) -> None:
    bad = case / "bad.yml"
    bad.write_text("orch: 1\nname: x\njobs: []\n")
    ran = orch("check", bad, "--json")
    assert ran.returncode == 2
    assert json.loads(ran.stdout) == {
        "ok": False,
        "errors": [{"where": f"{bad}:3: jobs", "what": "is empty", "hint": ""}],
    }


def test_check_prints_the_schema_that_the_playbooks_of_the_house_satisfy() -> None:
    import yaml

    # it comes without type hints
    jsonschema: Any = importlib.import_module("jsonschema")

    schema = json.loads(orch("check", "--schema").stdout)
    assert schema == playbook_schema()
    for file in (ROOT / "playbooks").glob("*.yml"):
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(file.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({"orch": 1, "name": "x", "jobs": [{"nme": "a"}]})


def test_a_plan_from_files_accounts_for_every_cell(case: Path) -> None:
    ran = planned(case, "--facts", case / "facts", "--json", "--out", case / "plan.json")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == (case / "plan.json").read_text()
    steps = {s["id"]: s for s in json.loads(ran.stdout)["steps"]}
    assert list(steps) == ["a-0000@n1", "a-0001@n1", "a-0000@n2", "a-0001@n2"]
    assert (steps["a-0000@n1"]["skip"], steps["a-0000@n1"]["lost"]) == ("", "")
    assert steps["a-0001@n1"]["skip"].startswith("4096 threads, the host has")
    assert steps["a-0000@n2"]["lost"] == f"no facts in {case}/facts"


def test_the_same_input_gives_the_same_plan_byte_for_byte(case: Path) -> None:
    one_file = case / "facts.json"
    one_file.write_text(json.dumps({"n1": json.loads((case / "facts" / "n1.json").read_text())}))
    first = planned(case, "--facts", case / "facts", "--json", "--limit", "n1").stdout
    assert first
    assert planned(case, "--facts", one_file, "--json", "--limit", "n1").stdout == first


def test_the_table_says_what_would_run_and_what_not(case: Path) -> None:
    lines = planned(case, "--facts", case / "facts").stdout.splitlines()
    assert lines[0].split() == ["JOB", "HOSTS", "CELLS", "RUN", "SKIPPED", "LOST", "LAUNCHES", "ESTIMATE"]
    assert lines[1].split()[:7] == ["a", "2", "4", "1", "1", "2", "1"]
    assert any(line.startswith("1 skipped: 4096 threads") for line in lines)
    assert lines[-1].startswith("two: 4 cells on 2 hosts")


@pytest.mark.parametrize("text", ["{", "[]", '{"protocol": "x"}'])
def test_facts_that_cannot_be_read_are_an_input_error(case: Path, text: str) -> None:
    (case / "facts" / "n2.json").write_text(text)
    ran = planned(case, "--facts", case / "facts")
    assert ran.returncode == 2
    assert f"orch: {case}/facts/n2.json: " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_this_machine_is_asked_where_no_facts_are_given(case: Path) -> None:
    book = BOOK.replace("all:!spare", "all")
    (case / "here.yml").write_text(book)
    ran = orch("plan", case / "here.yml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert [s["lost"] for s in json.loads(ran.stdout)["steps"]] == ["", ""]
