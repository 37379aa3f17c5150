"""Recorded histories are judged a run at a time, and the first wrong window is told in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from orchestrator.engine.judge_histories import judged


def call(op: str, arg: Any, ret: Any, inv: int) -> dict[str, Any]:
    return {"t": 0, "op": op, "obj": 0, "arg": arg, "ret": ret, "inv": inv, "res": inv + 1}


def record(*calls: dict[str, Any], window: int = 0, last: bool = True) -> str:
    return json.dumps(
        {"type": "history", "spec": "queue", "window": window, "ops": calls, "last": last},
        separators=(",", ":"),
    )


RIGHT = record(call("put", 1, None, 0), call("take", None, 1, 5))
WRONG = record(call("put", 1, None, 0), call("take", None, 2, 5), window=1)


def test_a_wrong_window_is_told_with_the_calls_that_suffice() -> None:
    answer = judged(['{"type":"interval"}', RIGHT, WRONG])
    assert answer["windows"] == 2
    assert "take" in answer["wrong"]


def test_a_window_in_several_records_is_one() -> None:
    parts = [record(call("put", 1, None, 0), last=False), record(call("take", None, 1, 5))]
    assert judged(parts) == {"windows": 1, "wrong": "", "undecided": ""}


def test_each_path_is_answered_with_a_line(tmp_path: Path) -> None:
    for name, line in (("right", RIGHT), ("wrong", WRONG)):
        (tmp_path / name).write_text(line + "\n")
    paths = "".join(f"{tmp_path / name}\n" for name in ("right", "wrong", "right"))
    command = [sys.executable, "-m", "orchestrator.engine.judge_histories"]
    done = subprocess.run(command, input=paths, capture_output=True, text=True, check=True)
    assert [bool(json.loads(line)["wrong"]) for line in done.stdout.splitlines()] == [False, True, False]
