"""From a playbook of arms to the page of figures, by the main path."""

from __future__ import annotations

from pathlib import Path

import pytest
from orch_process import only_run, orch, write

from orchestrator.report.optimization import BEGIN, END, main

pytestmark = [pytest.mark.ray, pytest.mark.native]
ROOT = Path(__file__).parents[2]

TINY = """\
orch: 1
name: tiny
hosts: all
defaults: {workload: native, launches: 8, measure: {warmup: 20ms, seconds: 100ms}}
jobs:
  - name: check
    with: {bench: op_check}
    matrix: {ids: [64]}
    judge:
      - paired: {metric: ours_ns, base: floor_ns, max_ratio: 1000}
      - paired: {metric: ours_ns, base: nobody_ns, max_ratio: 1}
"""


def test_a_run_of_arms_becomes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = orch("run", "playbook", write(tmp_path, "tiny.yml", TINY), "--runs", tmp_path / "runs")
    assert ended.code == 3, f"an arm that is not there is unknown: {ended.err}"
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nfigures of before\n{END}\nafter\n")
    run = only_run(tmp_path / "runs")
    assert main([run.name, "--runs", str(tmp_path / "runs"), "--write", str(page)]) == 0
    told = capsys.readouterr().out
    assert told in page.read_text()
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert "figures of before" not in page.read_text()
    assert "| check | ids 64 |" in told
    assert "| check local ours_ns over floor_ns ids=64 |" in told
    assert "| **met** |" in told
    assert "not measured | **undecided** |" in told
    assert "| fence |" in told


def test_the_playbook_of_the_targets_can_be_run_as_it_is() -> None:
    ended = orch("check", ROOT / "playbooks" / "optimization.yml")
    assert ended.code == 0, ended.out + ended.err


def test_a_page_without_a_place_and_a_run_that_is_not_there_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nothing", "--runs", str(tmp_path)]) == 2
    assert "no such run" in capsys.readouterr().err
