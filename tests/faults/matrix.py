"""The whole fault matrix, as a table: `make fault-matrix scenes="SCENE…"`. Exit status 1 where a row is not as it must be.

Without a name all scenes that this machine allows: about ten minutes on two idle cores, and ten more for `guests` and `settings`, which are
on emulated machines. `--pairs` only says which pairs of fault and moment are tried, and why the others are not.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import guest_scenes
import pairs
import rack_scenes
import ray_scenes
import scenes
from fault_table import Row, table

from orchestrator.lab import guest, guests, life, loopback, rack
from orchestrator.lab.guest import Shape

Scene = Callable[[Path], list[Row]]


@contextmanager
def lab(kind: str, hosts: int) -> Iterator[str]:
    name = f"matrix{kind}{os.getpid()}"
    if kind == "guest":
        guests.up(name, Shape.parse(guest_scenes.SHAPE), hosts)
    else:
        (rack if kind == "rack" else loopback).up(name, hosts)
    try:
        yield name
    finally:
        life.down(name)


def on(kind: str, hosts: int, *plays: Callable[[str, Path], list[Row]]) -> Scene:
    """One after the other in one lab."""

    def scene(folder: Path) -> list[Row]:
        with lab(kind, hosts) as name:
            return [row for number, play in enumerate(plays) for row in play(name, folder / str(number))]

    return scene


def ray(what: str) -> Callable[[str, Path], list[Row]]:
    return lambda name, folder: ray_scenes.killed(name, folder, what)


SCENES: dict[str, Scene] = {
    "ends": on("loopback", scenes.HOSTS, scenes.ends),
    "resumed": on("loopback", scenes.HOSTS, scenes.resumed),
    "disk": on("loopback", scenes.HOSTS, scenes.disk_full_here),
    "ray": on("loopback", scenes.HOSTS, *map(ray, ray_scenes.VICTIMS)),
    "rack": on("rack", rack_scenes.HOSTS, rack_scenes.rack),
    "more": on("rack", rack_scenes.HOSTS, rack_scenes.more),
    "long": on("rack", rack_scenes.LONG_HOSTS, rack_scenes.long),
    "early": on("rack", 2, rack_scenes.killed_early),
    "guests": on("guest", guest_scenes.GUESTS, guest_scenes.guests),
    "settings": on("guest", 1, guest_scenes.killed),
}


def lacking(name: str) -> str:
    """What this machine has not for a scene; empty where it has all."""
    if name in ("rack", "more", "long", "early"):
        return rack.why_not()
    return ", ".join(guest.lacking()) if name in ("guests", "settings") else ""


def main(asked: list[str]) -> int:
    if asked == ["--pairs"]:
        print(pairs.overview())
        return 0
    unknown = [name for name in asked if name not in SCENES]
    if unknown:
        print(f"no scene {unknown[0]}; there are: {' '.join(SCENES)}, or --pairs", file=sys.stderr)
        return 2
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="orch-matrix-") as folder:
        os.environ |= {"ORCH_STATE": f"{folder}/state", "ORCH_LEASES": f"{folder}/leases"}
        for name in asked or SCENES:
            why = lacking(name)
            print(f"{name}: left out: {why}" if why else f"{name} …", file=sys.stderr, flush=True)
            rows += [] if why else SCENES[name](Path(folder) / name)
    print(table(rows))
    wrong = [row for row in rows if row.wrong()]
    lost, twice, left = (sum(getattr(row, what) for row in rows) for what in ("lost", "twice", "left"))
    print(
        f"\n{len(rows)} rows, {len(wrong)} wrong; entries lost {lost}, twice {twice}; processes left {left}\n"
    )
    print(pairs.overview())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
