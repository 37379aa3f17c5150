"""What came of a soak: what was planned and made, written and copied, what is left, and whether the controller has grown."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from fault_table import account, running, whole
from soak_faults import Done

from orchestrator.analysis.trend import MIN_POINTS, theil_sen
from orchestrator.lab import labs
from orchestrator.lab.processes import Process, descendants
from orchestrator.results.folder import read_json

#: Of a session, what its memory is judged by: without its beginning, and long enough to tell.
WARM_S, LONG_S = 300.0, 900.0
CONFIDENCE = 0.99
#: What is planned and what is there may differ by so much: lines that are cut short, launches that were made again.
SIZE_SHARE = 0.5
#: What ends by itself, such as a keeper of a lease, has this long.
_STILL_S = 90.0


@dataclass
class Session:
    """A controller from its start to its end. Samples: time, bytes of itself and of its Ray driver (0: none)."""

    verb: str
    pid: int
    began: float
    code: int = 0
    ended: float = 0.0
    samples: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def sample(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            own = process.memory_info().rss
            driver = 0
            for child in process.children():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if any("spawn_main" in word for word in child.cmdline()):
                        driver = child.memory_info().rss
            self.samples.append((time.time(), own, driver))

    def growth(self, which: int) -> tuple[float, float, float, float] | None:
        """Bytes per hour, its interval, and the level; ``which``: 1 itself, 2 its driver. None where it was too short."""
        kept = [(s[0], s[which]) for s in self.samples if s[0] - self.began > WARM_S and s[which]]
        if len(kept) < MIN_POINTS or kept[-1][0] - kept[0][0] < LONG_S - WARM_S:
            return None
        at = np.asarray(kept, dtype=float)
        found = theil_sen(at[:, 0] - at[0, 0], at[:, 1], CONFIDENCE)
        if found is None:
            return None
        return found.slope * 3600, found.low * 3600, found.high * 3600, found.level


@dataclass
class Told:
    """A line for each question: whether it holds (None: nothing was asked of it), and the answer."""

    lines: list[tuple[bool | None, str]] = field(default_factory=list)

    def say(self, holds: bool | None, text: str) -> None:
        self.lines.append((holds, text))

    @property
    def holds(self) -> bool:
        return all(holds is not False for holds, _ in self.lines)

    def text(self) -> str:
        words = {True: "holds", False: "WRONG", None: "     "}
        return "\n".join(f"{words[holds]}  {text}" for holds, text in self.lines)


def told(lab: str, spool: str, run: Path, sessions: list[Session], done: list[Done], mark: str) -> Told:
    """``mark``: what everything that was started here has in its environment."""
    found = Told()
    _faults(found, sessions, done)
    _cells(found, run, sessions)
    _entries(found, lab, spool, run)
    _left(found, lab, run, mark)
    _memory(found, sessions)
    _size(found, run)
    return found


def _faults(found: Told, sessions: list[Session], done: list[Done]) -> None:
    kinds = Counter(d.draw.what for d in done)
    real = sum(not d.text.startswith(("not done", "nobody")) for d in done)
    listed = ", ".join(f"{n} {what}" for what, n in sorted(kinds.items()))
    found.say(None, f"faults: {real} of {len(done)} befell somebody: {listed}")
    codes = " ".join(str(s.code) for s in sessions)
    found.say(None, f"sessions of the controller: {len(sessions)}, ended with {codes}")


def _cells(found: Told, run: Path, sessions: list[Session]) -> None:
    plan = read_json(run / "plan.json")
    steps = pd.read_parquet(run / "tables" / "steps.parquet")
    planned = sorted(s["id"] for s in plan["steps"])
    ended = Counter(str(s) for s in steps["status"])
    words = ", ".join(f"{n} {status}" for status, n in ended.items())
    once = sorted(steps["step"]) == planned
    found.say(once and ended["passed"] == len(planned), f"cells: {len(planned)} planned, {words}")
    for row in steps[steps["status"] != "passed"].itertuples():
        found.say(False, f"{row.step}: {row.status}: {row.reason}")
    wanted = sum(s["launches"]["min"] for s in plan["steps"])
    ok, all_ = int(steps["launches_ok"].sum()), int(steps["launches"].sum())
    found.say(ok == wanted, f"launches: {wanted} planned, {ok} whole, {all_ - ok} cut short and made again")
    found.say(sessions[-1].code == 0, f"exit code of the last session: {sessions[-1].code}")
    log = run / "run.log"
    tracebacks = log.read_text().count("Traceback") if log.is_file() else 0
    found.say(tracebacks == 0, f"tracebacks in run.log: {tracebacks}")


def _entries(found: Told, lab: str, spool: str, run: Path) -> None:
    lost = twice = copied = 0
    for step in read_json(run / "plan.json")["steps"]:
        host = labs.load(lab).host(step["host"])
        inside = Path(f"/proc/{host.sshd.pid}/root{spool}") if host.sshd else Path("/nowhere")
        kept = account(run, inside, step["host"], step["id"])
        lost, twice = lost + kept.lost, twice + kept.twice
        copied += len(whole(run / "journal" / step["host"] / f"{step['id']}.ndjson"))
        if kept.lost or kept.twice:
            found.say(False, f"{step['id']}: {kept.lost} lost, {kept.twice} twice")
    text = f"entries: {copied} collected; on the hosts and not collected: {lost}; collected twice: {twice}"
    found.say(lost == 0 and twice == 0 and copied > 0, text)


def _left(found: Told, lab: str, run: Path, mark: str) -> None:
    until = time.monotonic() + _STILL_S
    while (left := [*_processes(lab, run, mark)]) and time.monotonic() < until:
        time.sleep(1.0)
    found.say(not left, f"processes left behind: {len(left)}")
    if deaf := _deaf(lab):
        found.say(None, f"SSH sessions on the hosts that were not told that their other end is gone: {deaf}")
    for words in left[:20]:
        found.say(False, f"left: {words[:200]}")
    orch = [sys.executable, "-m", "orchestrator.cli.app", "hosts", "release", "--sweep", "--json"]
    inventory = run.parent.parent / "inventory.yml"
    swept = subprocess.run(
        [*orch, "-i", str(inventory)], capture_output=True, text=True, timeout=300, check=False
    )
    answers = json.loads(swept.stdout)["hosts"] if swept.stdout.startswith("{") else {}
    empty = answers and all(not a.get("stopped") and not a.get("left") for a in answers.values())
    found.say(
        bool(empty), f"a sweep of the hosts finds: {'nothing' if empty else swept.stdout or swept.stderr}"
    )


def _processes(lab: str, run: Path, mark: str) -> Iterator[str]:
    """Of the run, of its controllers, and whatever else is on the hosts besides their sshd."""
    pids = running(f"ORCH_RUN={run.name}") | running(f"ORCH_SOAK={mark}")
    for host in labs.load(lab).hosts:
        if host.alive and host.sshd is not None:
            pids |= {p.pid for p in descendants(host.sshd)} - set(_sessions(host.sshd))
    for pid in sorted(pids):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            yield f"{pid} {' '.join(psutil.Process(pid).cmdline())}"


def _sessions(sshd: Process) -> Iterator[int]:
    """Of the host's sshd, with nothing that runs in them. Where a cable was cut when the other end went, nobody could tell them, and sshd
    asks by itself after hours."""
    for one in descendants(sshd):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            process = psutil.Process(one.pid)
            if " ".join(process.cmdline()).startswith("sshd:") and not process.children():
                yield one.pid


def _deaf(lab: str) -> int:
    return sum(len(list(_sessions(h.sshd))) for h in labs.load(lab).hosts if h.alive and h.sshd is not None)


def _memory(found: Told, sessions: list[Session]) -> None:
    for number, session in enumerate(sessions, start=1):
        for which, who in ((1, "controller"), (2, "its Ray driver")):
            growth = session.growth(which)
            if growth is None:
                continue
            slope, low, high, level = (x / 2**20 for x in growth)
            text = f"session {number}, {session.seconds / 60:.0f} min: memory of {who} {level:.1f} MiB, "
            text += f"{slope:+.2f} MiB/h ({low:+.2f} to {high:+.2f}, {CONFIDENCE:.0%} interval)"
            found.say(low <= 0 if which == 1 else None, text)
    if all(s.growth(1) is None for s in sessions):
        found.say(None, f"memory of the controller: no session of {LONG_S / 60:.0f} min")


def _size(found: Told, run: Path) -> None:
    there = {p: p.stat().st_size for p in run.rglob("*") if p.is_file()}
    size, logs = sum(there.values()), sum(n for p, n in there.items() if "logs" in p.relative_to(run).parts)
    planned = read_json(run / "plan.json").get("estimate_bytes", 0)
    ratio = size / planned if planned else 0.0
    text = f"run folder: {size} bytes, {logs} of them logs of Ray; planned {planned}: {ratio:.2f} of it"
    found.say(1 - SIZE_SHARE <= ratio <= 1 + SIZE_SHARE, text)
