"""How long `orch --help` takes, start of Python included: seconds, median and extremes of 20 runs. To stay under 0.25 s."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ORCH = Path(sys.executable).parent / "orch"
RUNS = 20


def once() -> float:
    began = time.perf_counter()
    subprocess.run([ORCH, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    once()
    took = [once() for _ in range(RUNS)]
    print(f"orch --help: median {statistics.median(took):.3f} s, {min(took):.3f} to {max(took):.3f} s")


if __name__ == "__main__":
    main()
