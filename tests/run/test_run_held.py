"""Two controllers and one host: one holds it; where everything of that one was killed, the next puts the host in order."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from orch_process import endings, only_run, orch, start, table, wait_for


def book(folder: Path, name: str, argv: list[str], lease: str) -> Path:
    job = {"name": "work", "workload": "command", "with": {"argv": argv}}
    path = folder / f"{name}.yml"
    held = json.loads(lease) if lease.startswith("{") else lease
    path.write_text(json.dumps({"orch": 1, "name": name, "lease": held, "jobs": [job]}))
    return path


def test_one_holds_the_host_and_one_that_was_killed_holds_it_no_more(
    tmp_path: Path, monkeypatch: Any
) -> None:
    place = tmp_path / "place"
    monkeypatch.setenv("ORCH_LEASES", str(place))
    mark = f"60.{os.getpid()}"
    first = book(tmp_path, "first", ["sleep", mark], "1h")
    second = book(tmp_path, "second", ["true"], '{"busy": "fail"}')
    third = book(tmp_path, "third", ["true"], '{"busy": "wait"}')
    running = start("run", "playbook", first, "--runs", tmp_path / "a")
    try:
        wait_for(lambda: sleepers(mark))
        listed = orch("hosts", "list", "--status", "--json")
        assert json.loads(listed.out)["hosts"][0]["lease"]["what"] == "first"

        refused = orch("run", "playbook", second, "--runs", tmp_path / "b")
        assert refused.code == 1
        ((status, reason),) = endings(only_run(tmp_path / "b")).values()
        assert status == "failed"
        assert reason.startswith("held by ")
        assert " for first; until " in reason
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    kill_keeper_and_let_time_pass(place)
    got = orch("run", "playbook", third, "--runs", tmp_path / "c")
    assert got.code == 0, got.err
    assert not sleepers(mark)
    kinds = list(table(only_run(tmp_path / "c"), "events")["kind"])
    assert kinds.count("lease") == 2
    assert not (place / "lease.json").exists()


def kill_keeper_and_let_time_pass(place: Path) -> None:
    """No test waits for a lease to expire: on a busy machine a short one does so by itself."""
    record = json.loads((place / "lease.json").read_text())
    os.kill(record["keeper"], signal.SIGKILL)
    wait_for(lambda: not is_alive(record["keeper"]))
    (place / "lease.json").write_text(json.dumps({**record, "until": 0.0}))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def sleepers(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", mark.encode()]:
                found.append(folder.name)
    return found
