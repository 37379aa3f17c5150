"""What Ray and the agent cost a host while nothing but waiting is done on it: hosts of a rack that have joined, and are asked by a
program that runs there as any other.

    .venv/bin/python bench/cluster_idle.py [HOSTS] [SECONDS]

For each host and part: share of one CPU, resident memory (what is shared divided among those who share it), processes, and the CPUs that they
may run on. `ray` is the node with its seat, `agent` the supervisor of the launch and what the controller reads its journal with, `keeper` whoever keeps the lease.
Of this machine it needs network namespaces. Hosts of a rack share its CPUs, so that a busy machine tells too much.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORCH = Path(sys.executable).parent / "orch"
LAB = "cluster-idle"

#: runs on the host: settles, looks, waits, looks again
PROBE = """
import json, os, pathlib, sys, time
TICK = os.sysconf('SC_CLK_TCK')
def part_of(folder):
    if b'ORCH_NODE_DIR=' in (folder / 'environ').read_bytes():
        return 'ray'
    words = (folder / 'cmdline').read_bytes().decode(errors='replace').split(chr(0))
    if '--spool' not in words:
        return None
    return 'keeper' if 'take' in words else 'agent'
def look():
    seen = {}
    for folder in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            part = part_of(folder)
            if part is None or int(folder.name) == os.getpid():
                continue
            stat = (folder / 'stat').read_text().rpartition(')')[2].split()
            pss = [x for x in (folder / 'smaps_rollup').read_text().splitlines() if x.startswith('Pss:')][0]
            cpus = (folder / 'status').read_text().split('Cpus_allowed_list:')[1].split()[0]
            seen[folder.name] = (part, (int(stat[11]) + int(stat[12])) / TICK, int(pss.split()[1]) * 1024, cpus)
        except (OSError, IndexError):
            continue
    return seen
time.sleep(5)
before, at = look(), time.monotonic()
time.sleep(float(sys.argv[1]))
after, took = look(), time.monotonic() - at
for part in ('ray', 'agent', 'keeper'):
    mine = {p: v for p, v in after.items() if v[0] == part}
    spent = sum(v[1] - before[p][1] for p, v in mine.items() if p in before)
    print(json.dumps({'part': part, 'cpu': 100 * spent / took, 'bytes': sum(v[2] for v in mine.values()),
                      'processes': len(mine), 'cpus': sorted({v[3] for v in mine.values()})}))
"""


def measured(hosts: int, seconds: float, folder: Path) -> list[dict[str, object]]:
    """What the probes said, each with its host."""
    probe = {
        "name": "probe",
        "workload": "command",
        "with": {"argv": [sys.executable, "-c", PROBE, str(seconds)]},
    }
    book = folder / "idle.yml"
    book.write_text(json.dumps({"orch": 1, "name": "idle", "lease": "1h", "jobs": [probe]}))
    words: list[str | Path] = ["run", "playbook", book, "-i", f"lab:{LAB}", "--runs", folder / "runs"]
    subprocess.run([ORCH, *words], check=True, capture_output=True, cwd=ROOT)
    said = []
    for path in sorted((folder / "runs").glob("*/journal/h*/*.ndjson")):
        for line in path.read_text().splitlines():
            text = json.loads(line).get("data", {}).get("text", "")
            if text.startswith('{"part"'):
                said.append({"host": path.parent.name, **json.loads(text)})
    if len(said) != 3 * hosts:
        raise SystemExit(f"only {len(said)} of {3 * hosts} answers: see {path.parent}")
    return said


def main() -> int:
    given = sys.argv[1:]
    hosts, seconds = int([*given, "2"][0]), float([*given, "2", "30"][1] if len(given) != 1 else 30)
    subprocess.run([ORCH, "lab", "up", LAB, "--hosts", str(hosts)], check=True, capture_output=True)
    try:
        with tempfile.TemporaryDirectory(prefix="orch-cluster-idle-") as folder:
            said = measured(hosts, seconds, Path(folder))
    finally:
        subprocess.run([ORCH, "lab", "down", LAB], check=True, capture_output=True)
    print(f"{hosts} host(s), {seconds:g} s; medians over hosts")
    for part in ("ray", "agent", "keeper"):
        rows = [row for row in said if row["part"] == part]
        cpu = statistics.median(float(str(row["cpu"])) for row in rows)
        memory = statistics.median(float(str(row["bytes"])) for row in rows) / 2**20
        cpus = sorted({str(row["cpus"]) for row in rows})
        print(
            f"{part:7} {cpu:6.2f}% of a CPU {memory:7.1f} MiB {rows[0]['processes']:>3} processes, on CPUs {' '.join(cpus)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
