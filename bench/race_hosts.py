"""How much more a search for races looks at on two hosts than on one: executions of the explorer in the same time, on sshds of this machine,
which needs a CPU for each and nothing else to do.

    .venv/bin/python bench/race_hosts.py [BUDGET] [ROUNDS] [SUBJECT]

One host and two take turns. Prints the executions of each and the ratio of the medians.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORCH = Path(sys.executable).parent / "orch"
LAB = "race-hosts"


def executions(folder: Path) -> Iterator[float]:
    """Of every step of a run, as its journals have them."""
    for path in folder.glob("journal/*/*.ndjson"):
        for line in path.read_text().splitlines():
            said = json.loads(line).get("data", {})
            if said.get("type") == "counter" and said.get("name") == "executions":
                yield float(said["value"])


def explored(hosts: int, budget: str, subject: str, root: Path) -> float:
    """Executions of one search on so many hosts of the lab."""
    runs = Path(tempfile.mkdtemp(dir=root))
    words = ["race", "explore", subject, "--detector", "explore", "--budget", budget, "-i", f"lab:{LAB}"]
    only = ["--limit", "h1"] if hosts == 1 else []
    subprocess.run([ORCH, *words, *only, "--runs", runs, "--json"], check=True, capture_output=True, cwd=ROOT)
    (folder,) = runs.iterdir()
    return sum(executions(folder))


def main() -> int:
    budget, rounds, subject = [*sys.argv[1:], *["8s", "3", "deque"][len(sys.argv) - 1 :]][:3]
    subprocess.run([ORCH, "lab", "up", LAB, "--loopback", "2"], check=True, capture_output=True)
    try:
        with tempfile.TemporaryDirectory(prefix="orch-race-hosts-") as root:
            turns = [[explored(n, budget, subject, Path(root)) for n in (1, 2)] for _ in range(int(rounds))]
    finally:
        subprocess.run([ORCH, "lab", "down", LAB], check=True, capture_output=True)
    one, two = (statistics.median(column) for column in zip(*turns, strict=True))
    print(
        f"{subject}, {budget} on each host: one host {one:.4g} executions, two {two:.4g}: {two / one:.2f} times"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
