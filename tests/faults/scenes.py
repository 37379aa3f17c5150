"""The scenes of the fault matrix. Each is one run, or one and its rest, in which many hosts meet a fault each."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
from fault_table import Row, running
from stage import AGENT, LAST, MEASURE, WARMUP, Cell, Stage, ended_with, hold, patiently, ticks

from orchestrator.lab import faults

#: prints lines of 4000 characters
FLOOD = "yes $(head -c 4000 /dev/zero | tr '\\0' x)"
#: of a lab of loopback hosts
HOSTS = 8


def ends(lab: str, runs: Path) -> list[Row]:
    """What happens to a workload, to its agent and to its link, while the controller lives."""
    stage = Stage(lab, runs, ends_cells())
    small = stage.lab.path / "h8" / "spool"
    stage.on("h8", 'mount -t tmpfs -o size=1500k disk "$S"', S=small)
    process = stage.start("--patience", "3")
    stage.play(process)
    rows = stage.rows(end(process), 1)
    stage.on("h8", 'umount "$S"', S=small)
    faults.befall(lab, "revive", "h7")
    return rows


def ends_cells() -> list[Cell]:
    return [*_of_the_workload(), *_of_the_agent(), *_of_the_link(), *_of_the_host()]


def _of_the_workload() -> list[Cell]:
    hang = {"limits": {"wall": "3s"}}
    deaf = "trap '' TERM; while :; do sleep 60; done"
    hog = "head -c 150000000 /dev/zero | tail -c 150000000 | sleep 60"
    return [
        Cell("segfault", "warm-up", "h1", "failed", ticks(WARMUP, "kill -SEGV $$"), WARMUP),
        Cell("segfault", "measure", "h1", "failed", ticks(MEASURE, "kill -SEGV $$"), MEASURE),
        Cell("segfault", "collect", "h7", "failed", ticks(LAST, "kill -SEGV $$"), LAST),
        Cell("hang", "warm-up", "h7", "failed", ticks(WARMUP, "sleep 600"), WARMUP, job=hang),
        Cell("hang", "measure", "h1", "failed", ticks(MEASURE, "sleep 600"), MEASURE, job=hang),
        Cell("hang", "collect", "h6", "failed", ticks(LAST, "sleep 600"), LAST, job=hang),
        Cell("deaf hang", "measure", "h2", "failed", ticks(MEASURE, deaf), MEASURE, job=hang),
        Cell("flood", "warm-up", "h1", "failed", ticks(WARMUP, FLOOD), WARMUP),
        Cell("flood", "measure", "h2", "failed", ticks(MEASURE, FLOOD), MEASURE),
        Cell("flood", "collect", "h5", "failed", ticks(LAST, FLOOD), LAST),
        Cell(
            "left behind",
            "collect",
            "h2",
            "passed",
            ticks(LAST, "setsid sleep 600 & sleep 0.2"),
            LAST,
            tell=False,
        ),
        Cell(
            "memory",
            "measure",
            "h3",
            "failed",
            ticks(MEASURE, hog),
            MEASURE,
            job={"limits": {"memory": "50MiB", "wall": "60s"}},
        ),
    ]


def _of_the_agent() -> list[Cell]:
    supervisor, both = "kill -9 $pid", "kill -9 $guard $pid"
    return [
        Cell("agent kill -9", "warm-up", "h3", "lost", at=WARMUP, act=_kill(supervisor)),
        Cell("agent kill -9", "measure", "h3", "lost", at=MEASURE, act=_kill(supervisor)),
        Cell("agent kill -9", "collect", "h4", "lost", at=LAST, act=_kill(supervisor)),
        Cell("guard kill -9", "measure", "h4", "lost", at=MEASURE, act=_kill("kill -9 $guard")),
        Cell("agent and guard kill -9", "measure", "h4", "lost", at=MEASURE, act=_kill(both)),
    ]


def _kill(what: str) -> Callable[[Stage, Cell], None]:
    def act(stage: Stage, cell: Cell) -> None:
        stage.on(cell.host, AGENT + what, L=stage.launch_there(cell))

    return act


def _of_the_link() -> list[Cell]:
    follower = """
    for p in /proc/[0-9]*; do
      tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q "[ ]follow .*$STEP" && kill -9 ${p#/proc/}
    done
    """
    session = """
    for p in /proc/[0-9]*; do
      tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^[s]shd: [a-z]*@notty' && kill -9 ${p#/proc/}
    done
    """
    return [
        Cell("follower kill -9", "measure", "h5", "passed", at=MEASURE, act=_cut(follower), resumes=True),
        Cell("SSH session kill -9", "warm-up", "h5", "passed", at=WARMUP, act=_cut(session), resumes=True),
        Cell("SSH session kill -9", "measure", "h5", "passed", at=MEASURE, act=_cut(session), resumes=True),
    ]


def _cut(script: str) -> Callable[[Stage, Cell], None]:
    def act(stage: Stage, cell: Cell) -> None:
        stage.on(cell.host, script, STEP=cell.step)

    return act


def _of_the_host() -> list[Cell]:
    return [
        Cell("changed agent", "between steps", "h6", "passed", at=MEASURE, act=_change_agent, tell=False),
        Cell("changed agent", "before start", "h6", "lost", at=0),
        Cell("power-off", "measure", "h7", "lost", at=MEASURE, act=_power_off),
        Cell(
            "disk full on the host", "measure", "h8", "lost", ticks(WARMUP, f"{FLOOD} | head -n 500"), WARMUP
        ),
    ]


def _change_agent(stage: Stage, cell: Cell) -> None:
    for blob in (stage.spool(cell.host) / "blobs").iterdir():
        if blob.is_file():
            blob.write_bytes(blob.read_bytes()[:-100])


def _power_off(stage: Stage, cell: Cell) -> None:
    faults.befall(stage.name, "kill", cell.host)


def resumed(lab: str, runs: Path) -> list[Row]:
    """The controller is killed with `kill -9` while each host is somewhere else; more happens until the run is resumed."""
    stage = Stage(lab, runs, resumed_cells())
    held = [c for c in stage.cells if c.at >= 0]
    for cell in held:
        hold(cell)
    process = stage.start()
    patiently(lambda: process.poll() is not None or (has_plan(runs) and all(stage.has(c) for c in held)))
    mine = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    for cell in held:
        if cell.host not in ("h5", "h8"):
            (stage.launch(cell) / "go").touch()
    _meanwhile(stage, {c.host: c for c in held})
    when = time.time()
    process, second = stage.resume(), stage.resume()
    codes = sorted([end(second), end(process)])
    rows = stage.rows(codes[-1], 3, when=when)
    left = [p for p in mine if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    rows.append(
        Row(
            "two controllers",
            "measure",
            "refused",
            "refused" if codes[0] == 2 else "both went on",
            None,
            0,
            0,
            len(left),
            codes[0],
            2,
        )
    )
    again = end(stage.resume())
    damaged = stage.rows(again, 0, when=when)[6]
    rows.append(replace(damaged, fault="the same, resumed once more", expected="passed"))
    return rows


def resumed_cells() -> list[Cell]:
    return [
        Cell("controller kill -9", "warm-up", "h1", "passed", at=WARMUP),
        Cell("controller kill -9, its last line cut", "measure", "h2", "passed", at=MEASURE),
        Cell("controller kill -9", "collect", "h3", "passed", at=LAST),
        Cell("controller kill -9", "measure", "h4", "passed", at=MEASURE),
        Cell("controller kill -9", "between steps", "h4", "passed"),
        Cell("controller and agent kill -9", "measure", "h5", "passed", at=MEASURE),
        Cell("journal line damaged on the host", "collect", "h6", "lost", at=MEASURE),
        Cell("journal truncated on the host", "collect", "h7", "passed", at=MEASURE),
        Cell("controller kill -9, host off and on again", "measure", "h8", "passed", at=MEASURE),
    ]


def has_plan(runs: Path) -> bool:
    return bool(list(runs.glob("*/plan.json")))


def has_ended(journal: Path) -> bool:
    return b'"kind":"ended"' in journal.read_bytes()


def end(process: subprocess.Popen[str]) -> int:
    with ended_with(process):
        _, err = process.communicate(timeout=600)
    assert "Traceback" not in err, err
    return process.returncode


def _meanwhile(stage: Stage, cells: dict[str, Cell]) -> None:
    """Nobody is there: what a power cut leaves in the run folder, what befalls agents, journals and a whole host."""
    for path in (stage.journal(cells["h2"]), stage.run / "journal" / "controller.ndjson"):
        os.truncate(path, path.stat().st_size - 20)
    stage.on("h5", AGENT + "kill -9 $pid", L=stage.launch_there(cells["h5"]))
    faults.befall(stage.name, "kill", "h8")
    faults.befall(stage.name, "revive", "h8")
    for host in ("h6", "h7"):
        journal = stage.launch(cells[host]) / "journal.ndjson"
        patiently(partial(has_ended, journal))
        have = stage.journal(cells[host]).stat().st_size
        if host == "h7":
            os.truncate(journal, have // 2)
        else:
            text = bytearray(journal.read_bytes())
            text[have + 20] ^= 1
            journal.write_bytes(text)


def disk_cells() -> list[Cell]:
    moments = {"h1": ("warm-up", WARMUP, 0), "h2": ("measure", MEASURE, 0), "h3": ("collect", LAST, 0)}
    moments["h4"] = ("between steps", 0, 1)
    fault = "disk full on the controller"
    return [
        Cell(fault, moment, host, "passed", at=at, number=number, job={"launches": number + 1}, tell=False)
        for host, (moment, at, number) in moments.items()
    ]


def disk_full_here(lab: str, runs: Path) -> list[Row]:
    """The disk of the run folder is full: before there is a plan, and while each host is somewhere else; then there is room again,
    and the run is resumed."""
    runs.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "disk", str(runs)], check=True)
    try:
        early, stage = Stage(lab, runs / "early", disk_cells()[:1]), Stage(lab, runs / "run", disk_cells())
        for cell in [*early.cells, *stage.cells]:
            hold(cell)
        process = early.start()
        _fill(runs)
        rows = [_ended("before ship", end(process), 0)]
        _fill(runs, again=False)
        process = stage.start()
        with ended_with(process):
            patiently(lambda: process.poll() is not None or _all_held(stage))
            _fill(runs)
            for cell in stage.cells:
                (stage.launch(cell) / "go").touch()
            code = end(process)
        rows.append(_ended("measure", code, len(running(f"ORCH_RUN={stage.run.name}"))))
        _fill(runs, again=False)
        when = time.time()
        resumed = stage.rows(end(stage.resume()), 0, when=when)
        return [*rows, *(replace(r, fault=f"{r.fault}, with room again and resumed") for r in resumed)]
    finally:
        subprocess.run(["umount", "-l", str(runs)], check=True)


def _fill(runs: Path, again: bool = True) -> None:
    """What is left of the disk; or it is there again."""
    filler = runs / "filler"
    if not again:
        filler.unlink()
        return
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def _all_held(stage: Stage) -> bool:
    return has_plan(stage.runs) and all(stage.has(cell) for cell in stage.cells)


def _ended(moment: str, code: int, left: int) -> Row:
    fault, said = "disk full on the controller", "ended with a line"
    return Row(fault, moment, "ended", said, None, 0, 0, left, code, 70)
