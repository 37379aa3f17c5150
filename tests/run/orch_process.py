"""`orch` as a user has it: a process of its own, in a session of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[2]
ORCH = [sys.executable, "-m", "orchestrator.cli.app"]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def orch(*words: str | Path, timeout_s: float = 240.0, cwd: Path = ROOT) -> Ended:
    """Run it to the end."""
    process = start(*words, cwd=cwd)
    out, err = process.communicate(timeout=timeout_s)
    return Ended(process.returncode, out, err)


def start(*words: str | Path, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """In a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [*ORCH, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """As a terminal does: to the whole process group."""
    os.killpg(process.pid, signal.SIGINT)


def wait_for(what: Callable[[], Any], timeout_s: float = 240.0) -> Any:
    """The first true answer of ``what``."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        answer = what()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not come to pass in time")


def only_run(runs: Path) -> Path:
    found = [p for p in sorted(runs.iterdir()) if (p / "plan.json").is_file()]
    assert len(found) == 1, found
    return found[0]


def table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(run / "tables" / f"{name}.parquet")


def endings(run: Path) -> dict[str, tuple[str, str]]:
    """step → (status, reason), and every planned step is there exactly once."""
    steps = table(run, "steps")
    planned = [s["id"] for s in json.loads((run / "plan.json").read_text())["steps"]]
    assert sorted(steps["step"]) == sorted(planned)
    return {str(r.step): (str(r.status), str(r.reason)) for r in steps.itertuples()}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path
