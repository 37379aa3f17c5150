from __future__ import annotations

import shlex
from pathlib import Path

import run_folders as rf
import typer.main

from orchestrator.cli import run
from orchestrator.report.again import rerun_command
from orchestrator.results.folder import RunFolder


def test_the_command_that_the_report_names_is_one_that_the_command_line_takes(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("inventory.yml", "hosts: {h9: {}}")
    step = rf.step(host="h9", variant="tsan", mem="node:1", threads=3, settings={"ids": 64, "mix": "a b"})
    words = shlex.split(rerun_command(folder, step))
    assert words[:3] == ["orch", "run", "workload"]
    command = typer.main.get_command(run.app).commands["workload"]  # type: ignore[attr-defined]
    asked = command.make_context("workload", words[3:]).params
    assert (asked["name"], asked["threads"], asked["placement"]) == ("capability_check", 3, "compact")
    assert (asked["seed"], asked["variant"], asked["mem"]) == (1000, "tsan", "node:1")
    assert (asked["seconds"], asked["warmup"], asked["limit"]) == ("1s", "0.1s", "h9")
    assert list(asked["sets"]) == ["ids=64", "mix=a b"]
