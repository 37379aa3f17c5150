"""Ctrl-C once, twice, and the death of the processes around a run."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from orch_process import endings, only_run, orch, press_ctrl_c, start, table, wait_for, write

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
    out, err = process.communicate(timeout=60)
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
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "orch report" in err
    report = orch("report", "last", "--runs", tmp_path / "runs")
    assert report.code in (3, 130), report.err
    assert set(endings(only_run(tmp_path / "runs")).values())
    assert not any(s == "passed" for s, _ in endings(only_run(tmp_path / "runs")).values())
    wait_for(lambda: not [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE])
    for left in sleeping("302.25"):  # the agent on the host goes on until its own limits: that is its task
        left.kill()


TICKS = """\
orch: 1
name: ticks
hosts: all
jobs:
  - name: ticks
    workload: command
    with: {argv: [sh, -c, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo tick $i; sleep 0.5; done"]}
    launches: 2
"""


def test_the_death_of_rays_driver_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    process = start("run", "playbook", write(tmp_path, "t.yml", TICKS), "--runs", tmp_path / "runs")
    journal = wait_for(lambda: list((tmp_path / "runs").glob("*/journal/local/ticks-*.ndjson")))[0]
    wait_for(lambda: journal.read_text().count("tick ") >= 3)
    (driver,) = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    os.kill(driver.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    run = only_run(tmp_path / "runs")
    assert {s for s, _ in endings(run).values()} == {"passed"}
    events = table(run, "events")
    ticks = events[events.text.str.contains("tick ")]
    assert sorted(zip(ticks.launch, ticks.seq, strict=True)) == sorted(
        set(zip(ticks.launch, ticks.seq, strict=True))
    )
    assert len(ticks) == 24
