"""Ctrl-C once and twice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest
from orch_process import endings, only_run, orch, press_ctrl_c, start, wait_for, write

pytestmark = pytest.mark.ray

LONG = """\
orch: 1
name: long
hosts: all
jobs:
  - {name: first, workload: command, with: {argv: [sleep, "MARK"]}}
  - {name: second, workload: command, with: {argv: ["true"]}}
"""


def sleeping(mark: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", mark]]


def begun(tmp: Path, mark: str) -> subprocess.Popen[str]:
    process = start(
        "run", "playbook", write(tmp, "long.yml", LONG.replace("MARK", mark)), "--runs", tmp / "runs"
    )
    wait_for(lambda: sleeping(mark))
    return process


def test_ctrl_c_once_stops_the_hosts_and_still_writes_tables_and_report(tmp_path: Path) -> None:
    process = begun(tmp_path, "301.25")
    press_ctrl_c(process)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert not sleeping("301.25")
    run = only_run(tmp_path / "runs")
    assert {s for s, _ in endings(run).values()} == {"stopped"}
    assert "INTERRUPTED – unknown: " in out
    assert "Traceback" not in out + err


def test_ctrl_c_twice_leaves_at_once_and_the_report_is_still_there(tmp_path: Path) -> None:
    process = begun(tmp_path, "302.25")
    children = psutil.Process(process.pid).children(recursive=True)
    press_ctrl_c(process)
    journal = tmp_path / "runs"
    wait_for(
        lambda: [p for p in journal.glob("*/journal/controller.ndjson") if "interrupted" in p.read_text()]
    )
    press_ctrl_c(process)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "orch report" in err
    report = orch("report", "last", "--runs", tmp_path / "runs")
    assert report.code in (3, 130), report.err
    assert set(endings(only_run(tmp_path / "runs")).values())
    assert not any(s == "passed" for s, _ in endings(only_run(tmp_path / "runs")).values())
    wait_for(lambda: not [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE])
    for left in sleeping("302.25"):  # the agent on the host goes on until its own limits: that is its task
        left.kill()
