"""From journals to Parquet: how fast a run folder of N interval samples on 64 hosts is read, each entry once, and in how much memory.

    python bench/ingest.py [N] [--hosts 64] [--launch 60000] [--folder DIR]

The journals are in the agents' format, line for line, with a checksum on each; a launch has ``--launch`` samples and its hello, result,
start and end. Printed: journal entries per second of CPU time, threads and kernel included (so: per core), per second of the clock, and
the peak resident memory of the process that does it. What comes out is counted again from the Parquet file. The bounds of the issue, for
N = 100000000: 300,000 per second and core, 1 GiB. Some 0.2 KB of disk per sample.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from agents.wire import PROTOCOL, Entry, entry_line  # noqa: E402 - run as a script
from orchestrator.model.plan import PLAN_SCHEMA, JobPlan, Launches, Plan, StepPlan  # noqa: E402 - run as a script
from orchestrator.results.folder import RunFolder  # noqa: E402 - run as a script

SAMPLES = 1_000_000
T0 = 1_795_900_000.0
BUILD = "0123456789abcdef"
_AT_ONCE = 20_000


def step_of(host: str, launches: int) -> StepPlan:
    return StepPlan(
        id=f"long-0000@{host}",
        host=host,
        job="long",
        cell={},
        workload="native",
        settings={"ids": 1024},
        bench="capability_check",
        variant="release",
        threads=4,
        placement="compact",
        cpus=[0, 1, 2, 3],
        mem="local",
        warmup_s=1.0,
        seconds=3600.0,
        interval_s=0.1,
        seed=7,
        launches=Launches(launches, launches),
    )


def launch_lines(host: str, number: int, samples: int, rng: random.Random) -> Iterator[str]:
    """The journal of one launch, as its agent writes it."""
    wall = T0 + number * 10_000.0
    mono = 1000.0 + number * 10_000.0
    seq = 0

    def line(kind: str, data: dict[str, Any], at: float) -> str:
        nonlocal seq
        seq += 1
        return entry_line(Entry(seq - 1, number, round(wall + at, 6), round(mono + at, 6), kind, data))

    about = {"run": "r", "host": host, "job": "long", "step": f"long-0000@{host}", "launch": number}
    yield line(
        "started",
        {**about, "workload": "native", "argv": ["x"], "pid": 1, "protocol": PROTOCOL, "seed": 7},
        0.0,
    )
    yield line(
        "record", {"type": "hello", "protocol": PROTOCOL, "build": BUILD, "contracts": [], "seed": 7}, 0.01
    )
    t, brace = 0.02, b"}"
    for begin in range(0, samples, _AT_ONCE):
        made = []
        for _ in range(min(_AT_ONCE, samples - begin)):
            dt = 0.1 + rng.random() * 0.001
            t += dt
            # what `entry_line` would write, without its cost: a hundred million are asked for
            body = (
                f'{{"data":{{"dt":{dt:.8g},"ops":{int(rng.random() * 1e5) + 400_000},"phase":"measure","t":{t:.8f},"type":"interval"}},'
                f'"kind":"record","launch":{number},"mono":{mono + t:.6f},"seq":{seq},"t":{wall + t:.6f}'
            )
            made.append(f'{body},"crc":"{zlib.crc32(body.encode() + brace):08x}"}}\n')
            seq += 1
        yield "".join(made)
    metrics = [{"metric": "ops_per_second", "value": 4.5e6, "unit": "1/s"}]
    done = {
        "type": "result",
        "status": "ok",
        "seconds": t,
        "ops": 450_000 * samples,
        "violations": 0,
        "metrics": metrics,
    }
    yield line("record", done, t + 0.1)
    end = {
        "reason": "exited",
        "exit": 0,
        "signal": None,
        "seconds": t + 0.2,
        "records": samples + 2,
        "garbage": 0,
    }
    yield line("ended", {**end, "truncated": 0, "max_rss_bytes": 1 << 20, "core": "", "message": ""}, t + 0.2)


def make(root: Path, samples: int, hosts: int, launch: int) -> RunFolder:
    """A run folder whose journals hold so many samples, shared out evenly over the hosts."""
    folder = RunFolder(root / "20261201-000000-ingest-0000")
    (folder.path / "journal").mkdir(parents=True)
    names = [f"h{n:02d}" for n in range(hosts)]
    shares = [samples // hosts + (n < samples % hosts) for n in range(hosts)]
    steps = [step_of(name, -(-share // launch)) for name, share in zip(names, shares, strict=True)]
    job = JobPlan("long", "native", [], [], [], wall_s=7200.0)
    plan = Plan(PLAN_SCHEMA, "ingest", 7, names, ["release"], [job], ["parquet"], 1.0, steps)
    folder.write("plan.json", plan.to_json())
    folder.note("run_started", {"run": folder.id, "name": "ingest", "seed": 7})
    for step, share in zip(steps, shares, strict=True):
        rng = random.Random(step.host)  # noqa: S311 - figures, not secrets
        path = folder.journal(step.host, step.id)
        path.parent.mkdir(parents=True)
        with path.open("w") as f:
            for number in range(step.launches.min):
                for text in launch_lines(step.host, number, min(launch, share - number * launch), rng):
                    f.write(text)
        data = {
            "host": step.host,
            "job": "long",
            "step": step.id,
            "reason": "",
            "launches": step.launches.min,
        }
        folder.note("step_done", data)
    folder.note("run_ended", {"interrupted": False})
    return folder


def measured(path: Path) -> None:
    """In a process of its own: JSON on standard output."""
    import pyarrow.parquet as pq

    from orchestrator.results.rebuild import rebuild

    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    rebuilt = rebuild(RunFolder(path))
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    about = {
        "seconds": took,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "rss": after.ru_maxrss * 1024,
        "rows": pq.read_metadata(path / "tables" / "intervals.parquet").num_rows,
        "code": rebuilt.exit_code,
    }
    print(json.dumps(about))


def main() -> int:
    parser = argparse.ArgumentParser(description="journals to Parquet, records per second and core")
    parser.add_argument("samples", nargs="?", type=int, default=SAMPLES)
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--launch", type=int, default=60_000, help="samples of one launch")
    parser.add_argument(
        "--folder", type=Path, help="where the journals are made, and left; else somewhere, and removed"
    )
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measured(asked.measure)
        return 0
    if min(asked.samples, asked.hosts, asked.launch) < 1:
        parser.error("expected numbers of 1 and more")
    root = asked.folder or Path(tempfile.mkdtemp(prefix="orch-ingest-"))
    try:
        began = time.monotonic()
        folder = make(root, asked.samples, asked.hosts, asked.launch)
        size = sum(p.stat().st_size for p in (folder.path / "journal").rglob("*.ndjson"))
        entries = asked.samples + sum(4 * -(-n // asked.launch) for n in _shares(asked.samples, asked.hosts))
        print(
            f"{asked.samples:,} samples of {asked.hosts} hosts, {size / 1e9:.2f} GB of journals, made in {time.monotonic() - began:.0f} s"
        )
        words = [sys.executable, __file__, "--measure", str(folder.path)]
        done = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        print(
            f"{entries / done['cpu']:,.0f} entries/s and core ({done['cpu']:.1f} s of CPU), {entries / done['seconds']:,.0f} entries/s "
            f"({done['seconds']:.1f} s), peak memory {done['rss'] / 2**20:,.0f} MiB, load {os.getloadavg()[0]:.1f}"
        )
        print(f"{done['rows']:,} rows in intervals.parquet, exit code {done['code']}")
        return 0 if done["rows"] == asked.samples and done["code"] == 0 else 1
    finally:
        if asked.folder is None:
            shutil.rmtree(root, ignore_errors=True)


def _shares(samples: int, hosts: int) -> list[int]:
    return [samples // hosts + (n < samples % hosts) for n in range(hosts)]


if __name__ == "__main__":
    sys.exit(main())
