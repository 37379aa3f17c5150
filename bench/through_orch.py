"""Throughput of a bench run through `orch` against the same harness run by hand, interleaved (A B B A …).

    .venv/bin/python bench/through_orch.py [PAIRS] [SECONDS] [THREADS]

Prints each pair and the median of the ratios orch / by hand. 1.00 means that driving, journal, vitals
and Ray cost the measured threads nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BENCH = "capability_check"


def by_hand(harness: Path, cpus: list[int], seconds: float, seed: int) -> float:
    argv = [str(harness), "run", BENCH, "--threads", str(len(cpus)), "--mem", "local"]
    argv += ["--cpus", ",".join(map(str, cpus))]
    argv += ["--seconds", str(seconds), "--warmup", "0.5", "--seed", str(seed)]
    out = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    result = json.loads(out.splitlines()[-1])
    return float(next(m["value"] for m in result["metrics"] if m["metric"] == "ops_per_second"))


def through_orch(threads: int, seconds: float, seed: int, runs: str) -> float:
    argv = [str(Path(sys.executable).with_name("orch")), "run", "workload", BENCH, "--threads", str(threads)]
    argv += ["--seconds", f"{seconds}s", "--warmup", "0.5s", "--seed", str(seed), "--runs", runs, "--json"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    run = json.loads(done.stdout)["run"]

    import pandas as pd

    samples = pd.read_parquet(Path(runs) / run / "tables" / "samples.parquet")
    measured = samples[(samples.metric == "ops_per_second") & (samples.phase == "measure")]
    return float(measured.value.iloc[0])


def main() -> None:
    from orchestrator.bundle.build import build

    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    bundle = build(Path("native"), ["release"])
    harness = Path(bundle.variant("release").file)
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    # as orch places them: the first CPU is left alone while there are others
    allowed = sorted(os.sched_getaffinity(0))
    cpus = (allowed[1:] if len(allowed) > threads else allowed)[:threads]
    ratios = []
    with tempfile.TemporaryDirectory() as runs:
        for pair in range(pairs):
            if pair % 2:
                orch, hand = through_orch(threads, seconds, pair, runs), by_hand(harness, cpus, seconds, pair)
            else:
                hand, orch = by_hand(harness, cpus, seconds, pair), through_orch(threads, seconds, pair, runs)
            ratios.append(orch / hand)
            print(
                f"pair {pair}: by hand {hand:.4g} ops/s, through orch {orch:.4g} ops/s, ratio {ratios[-1]:.3f}"
            )
    print(
        f"median ratio {statistics.median(ratios):.3f} (min {min(ratios):.3f}, max {max(ratios):.3f}); load {os.getloadavg()[0]:.2f}"
    )


if __name__ == "__main__":
    main()
