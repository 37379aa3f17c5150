"""The scenes of the fault matrix that need a kernel of their own: clocks that jump, a machine that stands still altogether or is
switched off, a kernel that says it is broken, and settings that are put back. Emulated machines; minutes."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
from fault_table import Row, whole
from scenes import end, has_plan
from stage import LAST, MEASURE, WARMUP, Cell, Stage, ended_with, hold, patiently, ticks

from agents.wire import Entry, parse_entry
from orchestrator.lab import faults, life

#: two CPUs on one node
SHAPE, GUESTS = "2x1", 3
SPOOL = "/root/.cache/orch"
HOUR_S, FROZEN_S = 3600, 30.0
SETTINGS = "/sys/kernel/mm/transparent_hugepage/enabled /proc/sys/kernel/randomize_va_space"
BOOK = {"lease": {"for": "1h", "ttl": "20m"}, "tune": {"thp": "never", "aslr": "off"}}
#: more than the machine has
HOG = "head -c 3000000000 /dev/zero | tail -c 3000000000 >/dev/null; exit 1"
NEMESES = [
    {"pinning": {"every": "1s", "for": "1s"}},
    {"hotplug": {"every": "1s", "for": "1s"}},
    {"clock": {"every": "1s", "for": "1s"}},
    {"clock": {"every": "1s", "for": "1s", "by": "30m", "when": "between"}},
]


class GuestStage(Stage):
    """Whose hosts are reached through their sshd alone."""

    def __init__(self, lab: str, runs: Path, cells: list[Cell]) -> None:
        super().__init__(lab, runs, cells, spool=SPOOL)
        self._copies: dict[str, Path] = {}

    def rows(self, code: int, expected: int, when: float = 0.0, still_s: float = 60.0) -> list[Row]:
        self._copies.clear()
        return super().rows(code, expected, when, still_s)

    def spool(self, host: str) -> Path:
        """A copy of what was there when it was first asked for; empty where nobody answers."""
        if host not in self._copies:
            self._copies[host] = self._copied(host)
        return self._copies[host]

    def _copied(self, host: str) -> Path:
        copy = self.runs / "spools" / host
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        lab = self.lab
        if not lab.host(host).alive:
            return copy
        command = life.kind_of(lab).at(lab, lab.host(host), ["tar", "-c", "-C", SPOOL, "runs"])
        done = subprocess.run(command, capture_output=True, timeout=240)
        if done.returncode == 0:
            with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
                archive.extractall(copy)
        return copy

    def let_go(self, host: str, folder: Path) -> None:
        if self.lab.host(host).alive:
            self.on(host, 'touch "$F/go"', F=Path(SPOOL) / folder)

    def running(self) -> int:
        count = 'grep -lsz "^ORCH_RUN=$R$" /proc/[0-9]*/environ | wc -l'
        alive = [h.name for h in self.lab.hosts if h.alive]
        return super().running() + sum(int(self.on(h, count, R=self.run.name) or 0) for h in alive)

    def settings(self) -> dict[str, str]:
        """Of the kernels that run."""
        return {h.name: self.on(h.name, f"cat {SETTINGS}") for h in self.lab.hosts if h.alive}


def cells() -> list[Cell]:
    moments = {"warm-up": (WARMUP, 0), "measure": (MEASURE, 0), "collect": (LAST, 0), "between steps": (0, 1)}
    made = []
    for number, (moment, (at, launch)) in enumerate(moments.items()):
        job = {"launches": launch + 1}
        act = _set_clock(HOUR_S if number % 2 == 0 else -HOUR_S)
        made.append(
            Cell(
                "clock jump of an hour",
                moment,
                "h1",
                "passed",
                at=at,
                act=act,
                number=launch,
                job=job,
                resumes=True,
            )
        )
    vexed = {"nemesis": NEMESES, "launches": 3}
    made.append(Cell("nemeses", "measure", "h1", "passed", ticks(count=200), job=vexed, tell=False))
    made.append(
        Cell(
            f"whole machine frozen {FROZEN_S:g} s",
            "measure",
            "h2",
            "passed",
            at=MEASURE,
            act=_freeze,
            resumes=True,
        )
    )
    made.append(Cell("kernel out of memory", "measure", "h2", "failed", ticks(MEASURE, HOG), MEASURE))
    stuck, died, off = (_befalls(what) for what in ("lockup", "oops", "kill"))
    made.append(Cell("CPU stuck in the kernel", "measure", "h2", "passed", at=MEASURE, act=stuck, tell=False))
    made.append(Cell("kernel that dies of an oops", "measure", "h2", "invalid", at=MEASURE, act=died))
    made.append(Cell("power-off of a machine", "measure", "h3", "lost", at=MEASURE, act=off))
    return made


def guests(lab: str, runs: Path) -> list[Row]:
    """One run on machines whose settings it changes."""
    stage = GuestStage(lab, runs, cells())
    before = stage.settings()
    process = stage.start("--patience", "60", book=BOOK)
    stage.play(process)
    rows = _restored(stage, before, stage.rows(end(process), 1))
    rows += [*_said(stage), *_nemeses(stage)]
    return rows


def killed(lab: str, runs: Path) -> list[Row]:
    """The controller is killed while the settings of the host are changed; its rest puts them back."""
    cell = Cell("controller kill -9, settings changed", "measure", "h1", "passed", at=MEASURE)
    hold(cell)
    stage = GuestStage(lab, runs, [cell])
    before = stage.settings()
    process = stage.start(book=BOOK)
    with ended_with(process):
        patiently(lambda: process.poll() is not None or (has_plan(runs) and stage.has(cell)))
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
    assert stage.settings()["h1"] != before["h1"]
    when = time.time()
    rows = _restored(stage, before, stage.rows(end(stage.resume()), 0, when=when))
    left = [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return [replace(row, left=row.left + len(left)) for row in rows]


def _set_clock(by_s: int) -> Callable[[Stage, Cell], None]:
    def act(stage: Stage, cell: Cell) -> None:
        stage.on(cell.host, f"date -s @$(($(date +%s) + {by_s}))")

    return act


def _freeze(stage: Stage, cell: Cell) -> None:
    faults.befall(stage.name, "freeze", cell.host)
    time.sleep(FROZEN_S)
    faults.befall(stage.name, "thaw", cell.host)


def _befalls(what: str) -> Callable[[Stage, Cell], None]:
    def act(stage: Stage, cell: Cell) -> None:
        faults.befall(stage.name, what, cell.host)

    return act


def _restored(stage: GuestStage, before: dict[str, str], rows: list[Row]) -> list[Row]:
    """Of a machine that is off there is nothing to restore."""
    now = stage.settings()
    hosts = [cell.host for cell in stage.cells]
    return [
        replace(row, restored=now[host] == before[host] if host in now else None)
        for row, host in zip(rows, hosts, strict=True)
    ]


def _said(stage: GuestStage) -> list[Row]:
    """What the kernels themselves have said, as the journals have it."""
    expected = {
        "clock jump of an hour": "clock_step",
        "kernel out of memory": "out_of_memory",
        "CPU stuck in the kernel": "soft_lockup",
        "kernel that dies of an oops": "oops",
    }
    rows = []
    for cell in stage.cells:
        if cell.fault in expected:
            what = expected[cell.fault]
            said = [e.data["what"] for e in map(_entry, whole(stage.journal(cell))) if e.kind == "health"]
            outcome = what if what in said else f"said: {said}"
            rows.append(Row(f"{cell.fault}: noticed", cell.moment, what, outcome, None, 0, 0, 0, 0, 0))
    return rows


def _nemeses(stage: GuestStage) -> list[Row]:
    """What each of the nemeses that a playbook asked for has done."""
    ends: dict[str, list[str]] = {}
    for entry in map(_entry, whole(stage.run / "journal" / "controller.ndjson")):
        if entry.kind == "nemesis":
            begun = ends.setdefault(entry.data["fault"], [])
            if entry.data["phase"] == "end":
                begun.append(entry.data["text"])
    rows = []
    for name in ("pinning", "hotplug", "clock"):
        done = [text for text in ends.get(name, []) if text.startswith("end: done: ")]
        outcome = f"{done[0]} (one of {len(done)})" if done else f"said: {ends.get(name)}"
        rows.append(Row(f"nemesis {name}", "measure", "end: done", outcome, None, 0, 0, 0, 0, 0))
    return rows


def _entry(line: bytes) -> Entry:
    return parse_entry(line.decode())
