"""Hosts that are set up wrongly: each is one clear line, and the others complete."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from orch_process import endings, only_run, orch, table, write

pytestmark = [pytest.mark.ray, pytest.mark.sshd]

BOOK = """\
orch: 1
name: odd
hosts: all
jobs:
  - {name: work, workload: command, with: {argv: ["true"]}}
"""
HOURS = 3


def a_python_whose_clock_is_ahead(folder: Path) -> Path:
    """In place of a host's clock, which is this machine's."""
    write(
        folder,
        "sitecustomize.py",
        f"import time\nreal = time.time\ntime.time = lambda: real() + {HOURS * 3600}\n",
    )
    script = write(
        folder, "python", f'#!/bin/sh\nPYTHONPATH={folder} exec {Path(sys.executable).resolve()} "$@"\n'
    )
    script.chmod(0o755)
    return script


def test_each_host_that_is_set_up_wrongly_is_told_and_the_others_complete(tmp_path: Path, lab: Any) -> None:
    key = tmp_path / "key"
    key.write_bytes((lab.lab.path / "user").read_bytes())
    key.chmod(0o644)
    fleet = yaml.safe_load(lab.lab.inventory.read_text())
    hosts = fleet["hosts"]
    hosts["h1"]["python"] = str(a_python_whose_clock_is_ahead(tmp_path))
    hosts["h2"]["ssh"]["jump"] = "127.0.0.1:1"
    hosts["h3"]["ssh"]["key"] = str(key)
    inventory = write(tmp_path, "odd.inventory.yml", yaml.safe_dump(fleet))
    book = write(tmp_path, "odd.yml", BOOK)
    ended = orch("run", "playbook", book, "-i", inventory, "--runs", tmp_path / "runs")
    assert ended.code == 3, ended.err
    ends = {step.partition("@")[2]: end for step, end in endings(only_run(tmp_path / "runs")).items()}
    assert {h: status for h, (status, _) in ends.items()} == {
        "h1": "passed",
        "h2": "lost",
        "h3": "lost",
        "h4": "passed",
    }
    assert f"h1: its clock is {HOURS}.0 h ahead" in ended.err
    begun = table(only_run(tmp_path / "runs"), "steps").set_index("host")["started"]
    assert abs((begun["h1"] - begun["h4"]).total_seconds()) < HOURS * 3600 / 2
    times = table(only_run(tmp_path / "runs"), "events")["time"].dropna()
    assert (times.max() - times.min()).total_seconds() < HOURS * 3600 / 2
    assert "nothing listens on the jump host 127.0.0.1 port 1" in ends["h2"][1]
    assert f"{key} (open to others, so it is not used: chmod 600 it)" in ends["h3"][1]
