"""How long `orch plan` takes for 10,000 cells on 1,000 hosts, facts from files: the whole process, imports
included. Prints seconds and peak memory of each of five runs. The bounds of the issue: 2 s, 300 MB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOSTS = 1000
RUNS = 5

PLAYBOOK = """\
orch: 1
name: wide
seed: 1
hosts: "fleet:!quarantined"
where: "cpus >= 2 and memory >= 1 * GiB"
jobs:
  - name: scaling
    workload: command
    with: {argv: ["true"]}
    matrix: {threads: [1, 2, 8, 32, 64], placement: [compact, remote]}
    measure: {warmup: 1s, seconds: 5s}
    launches: {min: 5, max: 20, until: {metric: ops_per_second, ci: 2%}}
"""


def facts(host: str, cores: int, nodes: int) -> dict[str, Any]:
    """Of a host with two hardware threads per core."""
    cpus = [
        {
            "cpu": t * cores + c,
            "core": c,
            "package": c * nodes // cores,
            "node": c * nodes // cores,
            "allowed": True,
        }
        for t in range(2)
        for c in range(cores)
    ]
    stable = {"kernel": "6.1", "os": "Debian 12", "python": "3.11", "libc": "glibc 2.36", "microcode": "0x1"}
    settings = {"governor": "", "smt": "on", "thp": "madvise", "numa_balancing": "1", "aslr": "2"}
    moment = {"clock_s": 1.0, "free_memory_bytes": 1, "spool_free_bytes": 1, "uptime_s": 1.0, "load_1m": 0.0}
    return {
        "protocol": 1,
        "hostname": host,
        "arch": "x86_64",
        "cpu_model": "A CPU",
        "cpu_flags": [f"flag{i}" for i in range(100)],
        "cpus": cpus,
        "nodes": [
            {
                "node": n,
                "cpus": [c["cpu"] for c in cpus if c["node"] == n],
                "memory_bytes": 1 << 36,
                "distances": [10 if m == n else 20 for m in range(nodes)],
            }
            for n in range(nodes)
        ],
        "caches": {"L3": 1 << 25},
        "memory_bytes": nodes << 36,
        "virtualisation": "",
        "boot_id": "b",
        **stable,
        **settings,
        **moment,
    }


def make_case(folder: Path) -> list[str]:
    hosts = [f"h{i:04d}" for i in range(HOSTS)]
    (folder / "facts").mkdir()
    for i, host in enumerate(hosts):
        # sixteen kinds of hosts, 8 to 64 hardware threads, one to four nodes
        (folder / "facts" / f"{host}.json").write_text(
            json.dumps(facts(host, 4 << (i % 4), 1 << (i // 4 % 3)))
        )
    lines = ["hosts:", "  spare: {}"]
    for i, host in enumerate(hosts):
        lines.append(
            f"  {host}: {{ssh: {{host: {host}.example.org, port: 22}}, labels: {{rack: r{i % 40}}}}}"
        )
    lines += ["groups:", f"  fleet: {{hosts: [{', '.join(hosts)}]}}", "  quarantined: {hosts: [spare]}"]
    (folder / "fleet.yml").write_text("\n".join(lines) + "\n")
    (folder / "wide.yml").write_text(PLAYBOOK)
    here = [str(folder / "wide.yml"), "-i", str(folder / "fleet.yml"), "--facts", str(folder / "facts")]
    return [sys.executable, "-m", "orchestrator.cli.app", "plan", *here]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        argv = make_case(Path(name))
        for _ in range(RUNS):
            began = time.perf_counter()
            process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
            said = process.stdout.read().decode() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - began
            if process.returncode:
                sys.exit(f"orch plan: exit status {process.returncode}\n{said}")
            print(
                f"{seconds:.2f} s ({usage.ru_utime + usage.ru_stime:.2f} s of CPU)  {usage.ru_maxrss / 1024:.0f} MB  {said.strip().splitlines()[-1]}"
            )


if __name__ == "__main__":
    main()
