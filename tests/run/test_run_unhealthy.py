"""A host whose kernel says that it is broken: its results are invalid and not failed, and it gets nothing more to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from orch_process import endings, only_run, orch, table, write

from agents.kernel_log import INSTEAD
from orchestrator.errors import EXIT_UNKNOWN

pytestmark = pytest.mark.ray

BOOK = """\
orch: 1
name: unhealthy
hosts: all
jobs:
  - {name: before, workload: command, with: {argv: ["true"]}}
  - {name: breaks, needs: [before], workload: command, with: {argv: [sh, -c, "echo '1,1,1,-;Oops: 0002 [#1]' >> LOG; exit 3"]}}
  - {name: after, workload: command, with: {argv: ["true"]}}
exports: [junit]
"""


def test_what_ran_on_a_broken_host_is_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path, "kernel.log", "")
    monkeypatch.setenv(INSTEAD, str(log))
    book = write(tmp_path, "unhealthy.yml", BOOK.replace("LOG", str(log)))
    ended = orch("run", "playbook", book, "--runs", tmp_path / "runs")
    assert ended.code == EXIT_UNKNOWN, ended.out + ended.err
    run = only_run(tmp_path / "runs")
    said = {step.split("-")[0]: end for step, end in endings(run).items()}
    assert said["before"][0] == "passed"
    assert said["breaks"] == ("invalid", "launch 0: the host is broken: Oops: 0002 [#1]")
    assert said["after"] == ("invalid", "invalid: Oops: 0002 [#1]")
    hosts = table(run, "hosts")
    assert list(hosts["status"]) == ["quarantined"]
    assert int(table(run, "runs")["steps_invalid"][0]) == 2
    assert "UNKNOWN" in ended.out
    assert "Broken hosts (1 of 1), quarantined" in ended.out
    assert "local: quarantined: Oops: 0002 [#1]" in ended.err
    assert "Traceback" not in ended.out + ended.err
