"""How much more a search for races looks at on two hosts than on one: executions of the explorer in the same time, on sshds of this machine,
which needs a CPU for each and nothing else to do.

    .venv/bin/python bench/race_hosts.py [BUDGET] [ROUNDS] [SUBJECT]

What two CPUs make of it at most is measured beside it, without hosts: one process of the explorer on one CPU, and two on one each, of the
subject's scenarios in turn. Bare and searched, one and two take turns. Prints executions, the two ratios of medians, and of the budget the share that
was spent exploring: what is missing of it is the start of a launch, half a second each, so a longer budget has more.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.bundle.build import build
from orchestrator.model.units import duration

ROOT = Path(__file__).resolve().parent.parent
ORCH = Path(sys.executable).parent / "orch"
LAB = "race-hosts"
BARE_S = 2.0


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Of every step of a run, as its journals have them."""
    for path in folder.glob("journal/*/*.ndjson"):
        for line in path.read_text().splitlines():
            yield json.loads(line).get("data", {})


def searched(hosts: int, budget: str, subject: str, root: Path) -> tuple[float, float]:
    """Executions of one search on so many hosts of the lab, and the seconds that it explored on each of them."""
    runs = Path(tempfile.mkdtemp(dir=root))
    words = ["race", "explore", subject, "--detector", "explore", "--budget", budget, "-i", f"lab:{LAB}"]
    only = ["--limit", "h1"] if hosts == 1 else []
    subprocess.run([ORCH, *words, *only, "--runs", runs, "--json"], check=True, capture_output=True, cwd=ROOT)
    (folder,) = runs.iterdir()
    said = list(records(folder))
    executions = sum(r["value"] for r in said if r.get("type") == "counter" and r["name"] == "executions")
    return executions, sum(r["seconds"] for r in said if r.get("type") == "result") / hosts


def bare(processes: int, program: str, scenarios: list[str]) -> float:
    """Executions of so many processes at once, on a CPU each, the same time for every scenario."""
    total = 0.0
    for scenario in scenarios:
        started = [
            subprocess.Popen(
                [
                    program,
                    "run",
                    scenario,
                    "--seconds",
                    str(BARE_S),
                    "--seed",
                    str(1 + n * 10**9),
                    "--cpus",
                    str(cpu),
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            for n, cpu in enumerate(sorted(os.sched_getaffinity(0))[:processes])
        ]
        total += sum(json.loads(p.communicate()[0].splitlines()[-1])["ops"] for p in started)
    return total


def listed(program: str, subject: str) -> list[str]:
    said = subprocess.run([program, "list", "--json"], capture_output=True, text=True, check=True).stdout
    return [b["name"] for b in json.loads(said)["benches"] if b["subject"] == subject]


def main() -> int:
    budget, rounds, subject = [*sys.argv[1:], *["60s", "3", "deque"][len(sys.argv) - 1 :]][:3]
    program = build(ROOT / "native", ("explore",)).variant("explore").file
    scenarios = listed(program, subject)
    bares: list[list[float]] = []
    turns: list[list[tuple[float, float]]] = []
    subprocess.run([ORCH, "lab", "up", LAB, "--loopback", "2"], check=True, capture_output=True)
    try:
        with tempfile.TemporaryDirectory(prefix="orch-race-hosts-") as root:
            for _ in range(int(rounds)):
                bares.append([bare(n, program, scenarios) for n in (1, 2)])
                turns.append([searched(n, budget, subject, Path(root)) for n in (1, 2)])
    finally:
        subprocess.run([ORCH, "lab", "down", LAB], check=True, capture_output=True)
    one, two = (statistics.median(column) for column in zip(*bares, strict=True))
    print(f"{subject}, bare: one process {one:.4g} executions, two {two:.4g}: {two / one:.2f} times")
    first, second = (statistics.median(done for done, _ in column) for column in zip(*turns, strict=True))
    spent = statistics.median(s for turn in turns for _, s in turn) / duration(budget)
    print(
        f"{subject}, {budget} on each host, {spent:.0%} of it exploring: one host {first:.4g} executions, two {second:.4g}: "
        f"{second / first:.2f} times, {second / first / (two / one):.0%} of what two processes are to one"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
