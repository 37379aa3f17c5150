"""A controller that is killed while a long journal is copied, and goes on when what it had not copied yet is packed on the host."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from orch_process import endings, only_run, orch, start, wait_for, write

from agents import journal, segments

pytestmark = pytest.mark.ray

LINES, WIDTH, PIECE = 1900, 200, 1 << 17
BOOK = f"""\
orch: 1
name: pieces
jobs:
  - name: talk
    workload: command
    limits: {{journal: {8 * PIECE >> 10}KiB}}
    with:
      argv: [python3, -c, 'import time; [(print(f"line {{i:0{WIDTH}d}}", flush=1), time.sleep(.002)) for i in range({LINES})]']
"""


def test_resume_goes_on_within_a_piece_that_was_packed_meanwhile(tmp_path: Path) -> None:
    process = start("run", "playbook", write(tmp_path, "pieces.yml", BOOK), "--runs", tmp_path / "runs")
    copied = wait_for(
        lambda: [p for p in tmp_path.glob("runs/*/journal/*/talk-*") if p.stat().st_size > 9000]
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    run = only_run(tmp_path / "runs")
    there = copied[0].stat().st_size
    (home,) = Path.home().glob(f".cache/orch/runs/{run.name}/talk-*/0")
    here = home / "journal.ndjson"
    wait_for(lambda: journal.ended(here))
    wait_for(lambda: all(piece.packed for piece in segments.closed(here)))
    pieces = segments.closed(here)
    assert 0 < there < pieces[0].end < pieces[-1].end, "cut within the first of several"
    whole = b"".join(map(segments.unpacked, pieces)) + here.read_bytes()

    again = orch("resume", run.name, "--runs", tmp_path / "runs")
    assert again.code == 0, again.err
    assert {status for status, _ in endings(run).values()} == {"passed"}
    assert copied[0].read_bytes() == whole
    entries = [json.loads(line) for line in whole.splitlines()]
    assert [e["seq"] for e in entries] == list(range(len(entries)))
    said = [int(e["data"]["text"].split()[1]) for e in entries if e["kind"] == "output"]
    assert said == list(range(LINES))
