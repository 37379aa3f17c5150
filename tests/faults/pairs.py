"""Every fault at every moment: the cells of the scenes that try it, or why there is nothing to try."""

from __future__ import annotations

import guest_scenes
import rack_scenes
import ray_scenes
import scenes
from stage import Cell

MOMENTS = ("before ship", "during ship", "warm-up", "measure", "collect", "between steps")
#: fault → how the names of the cells begin that are about it
FAULTS: dict[str, tuple[str, ...]] = {
    "agent kill -9": ("agent kill", "guard kill", "agent and guard"),
    "segfault": ("segfault",),
    "hang": ("hang", "deaf hang"),
    "output flood": ("flood",),
    "host power-off": ("kill for ever", "power-off"),
    "host frozen for 30 s": ("freeze 30 s", "whole machine frozen"),
    "host frozen for ever": ("freeze for ever",),
    "link cut for 5 s": ("cut 5 s",),
    "link cut for 60 s": ("cut 60 s",),
    "link cut for ever": ("cut for ever",),
    "slow link": ("slow", "cut 5 s, slow"),
    "lossy link": ("lossy",),
    "disk full on the host": ("disk full on the host", "disk-full"),
    "disk full on the controller": ("disk full on the controller",),
    "raylet kill -9": ("raylet",),
    "Ray head kill -9": ("Ray head",),
    "driver kill -9": ("driver",),
    "controller kill -9, resumed": ("controller",),
    "two controllers on one run": ("two controllers",),
    "clock jump of an hour": ("clock jump",),
    "damaged journal line": ("journal line damaged",),
    "truncated journal": ("journal truncated",),
    "changed bundle on the host": ("changed agent",),
}
_ALL = ("before ship", "during ship", "warm-up", "measure", "collect", "between steps")
_SHIP = ("before ship", "during ship")
_NO_LAUNCH = (*_SHIP, "between steps")
_RUNNING = ("warm-up", "measure", "collect")

#: faults, moments, why such a pair means nothing, or what it is the same as
NOTHING: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (("agent kill -9",), _NO_LAUNCH, "an agent lives as long as its launch: there is none to kill"),
    (("segfault", "hang", "output flood"), _NO_LAUNCH, "nothing of the workload runs"),
    (
        ("link cut for 60 s",),
        ("during ship",),
        "three tries, which take between half a minute and more than one, decide: it is the one or the other of the two beside it",
    ),
    (
        ("disk full on the controller",),
        ("during ship",),
        "nothing is written here from the plan to the first entry: it is found then, as in warm-up",
    ),
    (
        ("raylet kill -9", "Ray head kill -9", "driver kill -9"),
        _SHIP,
        "Ray is started meanwhile and has nothing to do yet; a driver that does not come up is started again",
    ),
    (
        ("two controllers on one run",),
        tuple(m for m in _ALL if m != "measure"),
        "the run folder is locked from the plan to the last word, and the second one refused at the same place",
    ),
    (
        ("clock jump of an hour",),
        _SHIP,
        "a clock that is off from the beginning is asked for and allowed for; nothing that is shipped has a time",
    ),
    (("damaged journal line", "truncated journal"), _NO_LAUNCH, "there is no journal that anybody reads"),
    (
        ("damaged journal line", "truncated journal"),
        ("warm-up", "measure"),
        "what the controller has is not read again: only what it has not yet read can be damaged, as in collect",
    ),
    (
        ("changed bundle on the host",),
        _SHIP,
        "what is there is asked for by its digest, and what arrives is checked: tests/engine/test_ship.py",
    ),
    (
        ("changed bundle on the host",),
        _RUNNING,
        "what runs has been read; it is checked before the next launch",
    ),
)


def cells() -> list[Cell]:
    """Of all scenes."""
    rays = [cell for what in ray_scenes.VICTIMS for cell in ray_scenes.cells(what)]
    early = [Cell("controller kill -9", moment, "", "passed") for moment in _SHIP]
    extra = [
        Cell("two controllers", "measure", "", "refused"),
        Cell("disk full on the controller", "before ship", "", "ended"),
    ]
    racks = [*rack_scenes.cells(), *rack_scenes.more_cells(), *rack_scenes.long_cells()]
    return [
        *scenes.ends_cells(),
        *scenes.resumed_cells(),
        *scenes.disk_cells(),
        *rays,
        *racks,
        *early,
        *extra,
        *guest_scenes.cells(),
    ]


def tried() -> dict[tuple[str, str], int]:
    """(fault, moment) → how many cells."""
    made = cells()
    return {
        (fault, moment): sum(c.moment == moment and c.fault.startswith(names) for c in made)
        for fault, names in FAULTS.items()
        for moment in MOMENTS
    }


def why_not() -> dict[tuple[str, str], str]:
    """(fault, moment) → why it is not tried."""
    return {(f, m): why for faults, moments, why in NOTHING for f in faults for m in moments}


def overview() -> str:
    """For people: how many cells of each pair, or the number of the reason that there is none."""
    count, reasons = tried(), why_not()
    numbers = {why: number for number, why in enumerate(dict.fromkeys(reasons.values()), 1)}
    lines = [f"{'fault':28}" + "".join(f"{m:>15}" for m in MOMENTS)]
    for fault in FAULTS:
        shown = [str(n) if (n := count[fault, m]) else f"({numbers[reasons[fault, m]]})" for m in MOMENTS]
        lines.append(f"{fault:28}" + "".join(f"{x:>15}" for x in shown))
    return "\n".join([*lines, "", *(f"({number}) {why}" for why, number in numbers.items())])
