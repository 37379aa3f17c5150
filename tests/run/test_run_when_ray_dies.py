"""Whatever of Ray dies, the run goes on from what is written: nothing is lost, nothing repeated."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from orch_process import endings, only_run, start, table, wait_for, write

pytestmark = pytest.mark.ray

BOOK = """\
orch: 1
name: ticks
hosts: all
jobs:
  - name: ticks
    workload: command
    with: {argv: [sh, -c, "i=0; while [ $i -lt TICKS ]; do echo tick $i; i=$((i+1)); sleep 0.5; done"]}
    launches: LAUNCHES
"""


def command_of(process: psutil.Process) -> str:
    """Its words; none of one that has just ended: a child of the run that is no concern of the test."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def driver(orch: psutil.Process) -> psutil.Process:
    (found,) = [p for p in orch.children() if "spawn_main" in command_of(p)]
    return found


def head(orch: psutil.Process) -> psutil.Process:
    (found,) = [p for p in orch.children(recursive=True) if "/gcs_server" in command_of(p)]
    return found


def home_of(orch: psutil.Process) -> Path:
    """Where its Ray lives, as the head was told."""
    (found,) = set(re.findall(r"/tmp/orch-ray-[a-z0-9_]+", command_of(head(orch))))
    return Path(found)


def goes_on(
    tmp: Path, ticks: int, launches: int, victim: Callable[[psutil.Process], psutil.Process], timeout_s: float
) -> None:
    text = BOOK.replace("TICKS", str(ticks)).replace("LAUNCHES", str(launches))
    process = start("run", "playbook", write(tmp, "ticks.yml", text), "--runs", tmp / "runs")
    journal = wait_for(lambda: list((tmp / "runs").glob("*/journal/local/ticks-*.ndjson")))[0]
    wait_for(lambda: journal.read_text().count("tick ") >= 3)
    orch = psutil.Process(process.pid)
    home = home_of(orch)
    assert home.stat().st_mode & 0o777 == 0o700, "tokens and sockets are nobody else's"
    os.kill(victim(orch).pid, signal.SIGKILL)
    _, err = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, err
    assert not home.exists(), "what a Ray that was killed has left is cleared away"
    run = only_run(tmp / "runs")
    assert {s for s, _ in endings(run).values()} == {"passed"}
    events = table(run, "events")
    told = events[events.text.str.contains("tick ")]
    assert len(told) == len(set(zip(told.launch, told.seq, strict=True))) == ticks * launches


def test_the_death_of_rays_driver_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    goes_on(tmp_path, ticks=12, launches=2, victim=driver, timeout_s=120)


@pytest.mark.slow
def test_the_death_of_rays_head_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """A minute later Ray ends its driver."""
    goes_on(tmp_path, ticks=180, launches=1, victim=head, timeout_s=280)
