"""Ray's head dies: a minute later Ray ends its driver. The run goes on from what is written."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from orch_process import endings, only_run, start, table, wait_for, write

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TICKS = 180
BOOK = f"""\
orch: 1
name: headless
hosts: all
jobs:
  - name: ticks
    workload: command
    with: {{argv: [sh, -c, "i=0; while [ $i -lt {TICKS} ]; do echo tick $i; i=$((i+1)); sleep 0.5; done"]}}
"""


def test_the_death_of_rays_head_neither_ends_the_run_nor_repeats_a_line(tmp_path: Path) -> None:
    process = start("run", "playbook", write(tmp_path, "h.yml", BOOK), "--runs", tmp_path / "runs")
    journal = wait_for(lambda: list((tmp_path / "runs").glob("*/journal/local/ticks-*.ndjson")))[0]
    wait_for(lambda: journal.read_text().count("tick ") >= 3)
    (head,) = [p for p in psutil.Process(process.pid).children(recursive=True) if p.name() == "gcs_server"]
    os.kill(head.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    run = only_run(tmp_path / "runs")
    assert {s for s, _ in endings(run).values()} == {"passed"}
    events = table(run, "events")
    ticks = events[events.text.str.contains("tick ")]
    assert len(ticks) == len(set(ticks.seq)) == TICKS
