"""A host whose disk is full for a while: what ran then is lost, and everything after it waits for room and is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orch_process import endings, only_run, start, wait_for, write

from orchestrator.model.address import Address
from orchestrator.transport import open_link

FIRST, REST = "first-0000@here", [f"rest{number}-0000@here" for number in range(3)]


def reached(runs: Path) -> list[str]:
    """What was noted about the host so far."""
    journal = only_run(runs) / "journal" / "controller.ndjson"
    lines = journal.read_text().splitlines(keepends=True)
    entries: list[dict[str, Any]] = [json.loads(x) for x in lines if x.endswith("\n")]
    return [e["data"]["status"] for e in entries if e["kind"] == "reach"]


def fill(disk: Path) -> Path:
    """To the last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as f:
        try:
            while f.write(bytes(4096)):
                pass
        except OSError:
            return filler
    raise AssertionError("there is still room")


def test_a_disk_that_is_full_for_a_while_costs_what_ran_and_nothing_else(
    tmp_path: Path, small_disk: Callable[..., str]
) -> None:
    spool = Path(small_disk(open_link(Address("here", local=True)), "64m"))
    inventory = write(tmp_path, "here.yml", f"hosts: {{here: {{local: true, spool: {spool}}}}}\n")
    ticking = ["sh", "-c", "while :; do echo tick; sleep 0.1; done"]
    jobs: list[dict[str, Any]] = [{"name": "first", "with": {"argv": ticking}}]
    jobs += [{"name": name.partition("-")[0], "with": {"argv": ["true"]}} for name in REST]
    book = json.dumps(
        {"orch": 1, "name": "full", "jobs": [{"workload": "command", "launches": 1, **j} for j in jobs]}
    )
    runs = tmp_path / "runs"
    playbook = write(tmp_path, "full.yml", book)
    process = start("run", "playbook", playbook, "-i", inventory, "--runs", runs, "--patience", "600")
    try:
        journals = f"*/journal/here/{FIRST}.ndjson"
        wait_for(lambda: any("tick" in p.read_text() for p in runs.glob(journals)))
        filler = fill(spool)
        wait_for(lambda: process.poll() is not None or "full" in reached(runs))
        filler.unlink()
        _, err = process.communicate(timeout=240)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 3, err
    ends = endings(only_run(runs))
    assert ends.pop(FIRST)[0] == "lost"
    assert {step: status for step, (status, _) in ends.items()} == dict.fromkeys(REST, "passed")
    assert reached(runs) == ["full", "room"]
    assert "orch: here: no room on its disk: " in err
    assert "orch: here: room on its disk again after " in err
