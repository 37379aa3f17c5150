"""Judge the histories that runs have recorded: ``python -m orchestrator.engine.judge_histories`` reads one path a line, a file of a run's records each,
and answers each with a line of JSON: ``{"windows", "wrong", "undecided"}``, the last two in words, "" where there is nothing to say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.analysis.histories.check import Window, check_window
from orchestrator.analysis.histories.shown import asked, told


def judged(lines: Iterable[str]) -> dict[str, Any]:
    """Of the records of one run. Looks up to the first window that is wrong."""
    answer: dict[str, Any] = {"windows": 0, "wrong": "", "undecided": ""}
    for spec, data in _windows(lines):
        answer["windows"] += 1
        found = check_window(Window(spec, data))
        if found.fault is not None:
            few = ", ".join(f"t{c.thread} {asked(c)} {told(c.ret)}" for c in found.fault.calls)
            answer["wrong"] = f"{found.fault.what}: {few}"
            return answer
        answer["undecided"] = answer["undecided"] or found.undecided
    return answer


def _windows(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Kind and calls of each window whose records are all there, as in the table of histories."""
    calls: list[Any] = []
    for line in lines:
        if '"type":"history"' not in line[:40]:
            continue
        record = json.loads(line)
        calls += record["ops"]
        if record["last"]:
            yield record["spec"], json.dumps(calls)
            calls = []


def main() -> int:
    for path in sys.stdin:
        with Path(path.rstrip("\n")).open() as f:
            print(json.dumps(judged(f)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
