"""The scenes of the fault matrix in which a part of Ray is killed while four hosts are each somewhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
from fault_table import Row
from scenes import end, has_plan
from stage import LAST, MEASURE, WARMUP, Cell, Stage, ended_with, hold, patiently
from test_run_when_ray_dies import command_of, driver, head

Victim = Callable[[psutil.Process], psutil.Process]


def seat(orch: psutil.Process) -> psutil.Process:
    return next(p for p in orch.children(recursive=True) if "ray::Seat" in command_of(p))


def raylet(orch: psutil.Process) -> psutil.Process:
    return next(p for p in orch.children(recursive=True) if "/raylet" in command_of(p).split(" ")[0])


VICTIMS: dict[str, Victim] = {"seat": seat, "driver": driver, "raylet": raylet, "Ray head": head}


def cells(what: str) -> list[Cell]:
    moments = {
        "h1": ("warm-up", WARMUP, 0),
        "h2": ("measure", MEASURE, 0),
        "h3": ("collect", LAST, 0),
        "h4": ("between steps", 0, 1),
    }
    return [
        Cell(
            f"{what} kill -9",
            moment,
            host,
            "passed",
            at=at,
            number=number,
            job={"launches": number + 1},
            tell=False,
        )
        for host, (moment, at, number) in moments.items()
    ]


def killed(lab: str, runs: Path, what: str) -> list[Row]:
    """``what`` of `VICTIMS` is killed; the hosts go on once another driver or seat is there."""
    made = cells(what)
    stage = Stage(lab, runs, made)
    for cell in made:
        hold(cell)
    process = stage.start()
    with ended_with(process):
        patiently(lambda: process.poll() is not None or (has_plan(runs) and all(stage.has(c) for c in made)))
        orch = psutil.Process(process.pid)
        victim, first = VICTIMS[what](orch), driver(orch)
        victim.kill()
        if what != "seat":
            patiently(
                lambda: (
                    process.poll() is not None
                    or not first.is_running()
                    or first.status() == psutil.STATUS_ZOMBIE
                )
            )
        for cell in made:
            (stage.launch(cell) / "go").touch()
    return stage.rows(end(process), 0)
