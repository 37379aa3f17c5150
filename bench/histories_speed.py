"""How many recorded calls the analysis linearizability judges per second and process: of the deque by search, of the pool and the capability
table by their monitors, on histories that the release harness has just recorded. Prints the median of five passes, and the share of
calls that overlap another one."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from orchestrator.analysis.histories.calls import read_calls
from orchestrator.analysis.histories.check import Window, check_windows
from orchestrator.bundle.build import build

ROOT = Path(__file__).resolve().parent.parent

PASSES = 5
BENCHES = ("history_deque", "history_queue", "history_capability")


def recorded(harness: str, bench: str) -> list[Window]:
    """The windows of one short run of two threads."""
    command = [
        harness,
        "run",
        bench,
        "--threads",
        "2",
        "--cpus",
        "0,1",
        "--seconds",
        "1",
        "--set",
        "windows=1000",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    calls: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for line in said.splitlines():
        record = json.loads(line)
        if record["type"] == "history":
            calls[record["spec"], record["window"]] += record["ops"]
    return [Window(spec, json.dumps(ops)) for (spec, _), ops in calls.items()]


def overlapping(windows: list[Window]) -> float:
    """Share of the calls that run at the same time as another one."""
    total = among = 0
    for window in windows:
        calls = read_calls(window.data)
        total += len(calls)
        for i, call in enumerate(calls):
            others = calls[max(0, i - 16) : i] + calls[i + 1 : i + 17]
            among += any(o.inv < call.res and call.inv < o.res for o in others)
    return among / total if total else 0.0


def main() -> None:
    harness = build(ROOT / "native").variant("release").file
    for bench in BENCHES:
        windows = recorded(harness, bench)
        rates = []
        for _ in range(PASSES):
            begin = time.perf_counter()
            answers = check_windows(windows)
            rates.append(sum(a.calls for a in answers) / (time.perf_counter() - begin))
        wrong = sum(a.fault is not None for a in answers)
        calls = sum(a.calls for a in answers)
        print(
            f"{bench}: {statistics.median(rates):,.0f} calls/s ({min(rates):,.0f} … {max(rates):,.0f}), {len(windows)} windows, {calls} calls, "
            f"{overlapping(windows):.1%} overlap another, {wrong} wrong"
        )


if __name__ == "__main__":
    main()
