"""The scenes of the fault matrix that need hosts with a network, a disk and processes of their own: a rack. Minutes."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml
from fault_table import Row
from scenes import end, has_plan
from stage import LAST, MEASURE, WARMUP, Cell, Stage, patiently

from orchestrator.lab import faults, labs
from orchestrator.lab.faults import Severity

Act = Callable[[Stage, Cell], None]

HOSTS = 14
#: on each host
SPOOL = "/var/tmp/orch-faults"
SHORT_S = 5.0
#: of the other rack
LONG_HOSTS = 15
CUT_S, FROZEN_S = 60.0, 30.0
#: how the reason begins of a host that nobody could ask any more
AWAY = "out of reach"
#: a host that is lost ends what runs there when its lease does
LEASE = {"lease": {"for": "20m", "ttl": "60s"}}
#: one that outlives what happens there
LONG_LEASE = {"lease": {"for": "20m", "ttl": "10m"}}
MOMENTS = {"warm-up": (WARMUP, 0), "measure": (MEASURE, 0), "collect": (LAST, 0), "between steps": (0, 1)}
BACK = {
    "cut": "heal",
    "freeze": "thaw",
    "slow": "heal",
    "lossy": "heal",
    "delayed": "heal",
    "kill": "revive",
    "disk-full": "heal",
}
BAD = Severity(bytes_per_s=20_000.0, loss_percent=20.0, delay_s=0.2)
#: hosts that meet a fault at every moment and get over it
PASSING = {"h1": "cut", "h2": "freeze", "h3": "slow", "h4": "lossy", "h5": "delayed"}
#: hosts that meet one for ever: fault, moment
LASTING = {
    "h6": ("kill", "warm-up"),
    "h7": ("kill", "measure"),
    "h8": ("kill", "between steps"),
    "h9": ("cut", "warm-up"),
    "h10": ("cut", "measure"),
    "h11": ("cut", "collect"),
    "h12": ("freeze", "measure"),
    "h13": ("disk-full", "measure"),
}
#: a host whose cable is bad from before the first contact, and is cut for a while as soon as something arrives
EARLY = "h14"
#: hosts of a second rack that meet one for ever
MORE = {
    "h1": ("kill", "collect"),
    "h2": ("cut", "between steps"),
    "h3": ("freeze", "warm-up"),
    "h4": ("freeze", "collect"),
    "h5": ("freeze", "between steps"),
    "h6": ("disk-full", "warm-up"),
    "h7": ("disk-full", "collect"),
    "h8": ("disk-full", "between steps"),
    "h9": ("disk-full", "before ship"),
    "h10": ("kill", "during ship"),
    "h11": ("cut", "during ship"),
    "h12": ("disk-full", "during ship"),
}
#: cables that lose frames, or that are cut until a while after the first contact
LOSSY, CUT_AT_FIRST = "h13", "h14"


def rack(lab: str, runs: Path) -> list[Row]:
    """One run in which hosts are cut off, stand still or end, for a while or for ever; then its rest, with all of them back."""
    return _away_and_back(lab, runs, cells(), LASTING, {EARLY: _for_a_while("cut", SHORT_S)})


def more(lab: str, runs: Path) -> list[Row]:
    """The same at other moments, before and while something is shipped among them."""
    faults.befall(lab, "lossy", LOSSY, BAD)
    faults.befall(lab, "cut", CUT_AT_FIRST)
    healed = threading.Timer(SHORT_S, faults.befall, (lab, "heal", CUT_AT_FIRST))
    healed.start()
    try:
        return _away_and_back(lab, runs, more_cells(), MORE, {})
    finally:
        healed.join()


def _away_and_back(
    lab: str, runs: Path, many: list[Cell], lasting: dict[str, tuple[str, str]], shipped: dict[str, Act]
) -> list[Row]:
    """``shipped``: what befalls a host as soon as something arrives there."""
    stage = Stage(lab, runs, many, inventory=str(_inventory(lab, runs)), spool=SPOOL)
    shipped = {
        **shipped,
        **{h: _for_ever(f) for h, (f, moment) in lasting.items() if moment == "during ship"},
    }
    for host, (fault, moment) in lasting.items():
        if moment == "before ship":
            faults.befall(lab, fault, host)
    for host in shipped:
        faults.befall(lab, "slow", host, BAD)
    code = _played(stage, stage.start("--patience", "20", book=LEASE), shipped)
    for host, (fault, _) in lasting.items():
        faults.befall(lab, BACK[fault], host)
    rows = [_waiting(row) for row in stage.rows(code, 3, still_s=240.0)]
    when = time.time()
    again = end(stage.resume())
    back = {row.fault: row for row in stage.rows(again, 0, when=when, still_s=240.0)}
    return [
        *rows,
        *(
            replace(back[r.fault], fault=f"{r.fault}, back and resumed", expected="passed")
            for r in rows
            if r.expected == "lost"
        ),
    ]


def long(lab: str, runs: Path) -> list[Row]:
    """One run in which hosts stand still or are cut off for long, and there is patience; others are not there from the beginning."""
    stage = Stage(lab, runs, long_cells(), inventory=str(_inventory(lab, runs)), spool=SPOOL)
    shipped = {"h9": _for_ever("freeze"), "h10": _for_a_while("freeze", FROZEN_S)}
    for host in shipped:
        faults.befall(lab, "slow", host, BAD)
    for host, fault in NEVER_THERE.items():
        faults.befall(lab, fault, host)
    process = stage.start("--patience", "240", book=LONG_LEASE)
    backs = [
        threading.Thread(target=_come_back, args=(stage, process, *late))
        for late in (("heal", "h14", CUT_S), ("thaw", "h15", FROZEN_S))
    ]
    for one in backs:
        one.start()
    code = _played(stage, process, shipped)
    for one in backs:
        one.join()
    return [_waiting(row) for row in stage.rows(code, 3, still_s=240.0)]


def _come_back(stage: Stage, process: subprocess.Popen[str], what: str, host: str, seconds: float) -> None:
    """After the time, and not before it was asked for the first time."""
    time.sleep(seconds)
    patiently(lambda: has_plan(stage.runs) or process.poll() is not None)
    faults.befall(stage.name, what, host)


def killed_early(lab: str, runs: Path) -> list[Row]:
    """The controller is killed as soon as the plan is there, and while something is shipped; each time the rest is made."""
    return [
        *_killed_early(lab, runs / "a", "before ship", lambda _: True),
        *_killed_early(lab, runs / "b", "during ship", lambda stage: _arriving(stage, "h1")),
    ]


def _killed_early(lab: str, runs: Path, moment: str, now: Callable[[Stage], bool]) -> list[Row]:
    hosts = ("h1", "h2")
    many = [Cell("controller kill -9", moment, host, "passed", tell=False) for host in hosts]
    # a place of its own, where nothing is yet
    spool = f"{SPOOL}-{runs.name}"
    stage = Stage(lab, runs, many, inventory=str(_inventory(lab, runs, spool)), spool=spool)
    for host in hosts:
        faults.befall(lab, "slow", host, BAD)
    process = stage.start()
    patiently(lambda: process.poll() is not None or (has_plan(runs) and now(stage)))
    process.kill()
    process.communicate()
    rows = stage.rows(end(stage.resume()), 0)
    for host in hosts:
        faults.befall(lab, "heal", host)
    return rows


#: hosts of the other rack that are not there when they are first asked, two of them for a while
NEVER_THERE = {"h11": "kill", "h12": "cut", "h13": "freeze", "h14": "cut", "h15": "freeze"}


def cells() -> list[Cell]:
    made = []
    for host, fault in PASSING.items():
        for moment, (at, number) in MOMENTS.items():
            name = f"{fault} {SHORT_S:g} s"
            made.append(_cell(name, moment, host, "passed", at, number, _for_a_while(fault, SHORT_S)))
    made += _lasting(LASTING)
    made.append(Cell("slow from before", "before ship", EARLY, "passed", tell=False))
    made.append(Cell(f"cut {SHORT_S:g} s, slow", "during ship", EARLY, "passed", tell=False))
    return made


def more_cells() -> list[Cell]:
    made = _lasting(MORE)
    made.append(Cell("lossy from before", "before ship", LOSSY, "passed", tell=False))
    made.append(Cell("lossy from before", "during ship", LOSSY, "passed", tell=False))
    made.append(Cell(f"cut {SHORT_S:g} s", "before ship", CUT_AT_FIRST, "passed", tell=False))
    return made


def _lasting(hosts: dict[str, tuple[str, str]]) -> list[Cell]:
    made = []
    for host, (fault, moment) in hosts.items():
        name = f"{fault} for ever ({moment})"
        if moment in MOMENTS:
            made.append(_cell(name, moment, host, "lost", *MOMENTS[moment], _for_ever(fault)))
        else:
            made.append(Cell(name, moment, host, "lost", tell=False))
    return made


def long_cells() -> list[Cell]:
    made = []
    for first, fault, seconds in ((1, "freeze", FROZEN_S), (5, "cut", CUT_S)):
        for number, (moment, when) in enumerate(MOMENTS.items()):
            name = f"{fault} {seconds:g} s"
            made.append(
                _cell(name, moment, f"h{first + number}", "passed", *when, _for_a_while(fault, seconds))
            )
    made.append(Cell(f"freeze {FROZEN_S:g} s, slow", "during ship", "h10", "passed", tell=False))
    made.append(Cell("freeze for ever", "during ship", "h9", "lost", tell=False))
    for host, fault in NEVER_THERE.items():
        lasts = {"h14": f"{CUT_S:g} s", "h15": f"{FROZEN_S:g} s"}.get(host, "for ever")
        made.append(Cell(f"{fault} {lasts}", "before ship", host, "lost", tell=False))
    return made


def _cell(
    fault: str,
    moment: str,
    host: str,
    expected: str,
    at: int,
    number: int,
    act: Act,
) -> Cell:
    job = {"launches": number + 1}
    return Cell(
        fault, moment, host, expected, at=at, number=number, act=act, job=job, resumes=expected == "passed"
    )


def _played(stage: Stage, process: subprocess.Popen[str], shipped: dict[str, Act]) -> int:
    """Its exit status. ``shipped``: what befalls a host as soon as something arrives there."""
    watching = [
        threading.Thread(target=_while_shipped, args=(stage, process, host, act))
        for host, act in shipped.items()
    ]
    for one in watching:
        one.start()
    stage.play(process)
    code = end(process)
    for one in watching:
        one.join()
    return code


def _while_shipped(stage: Stage, process: subprocess.Popen[str], host: str, act: Act) -> None:
    patiently(lambda: _arriving(stage, host) or process.poll() is not None)
    act(stage, Cell("", "", host, ""))


def _arriving(stage: Stage, host: str) -> bool:
    return bool(list((stage.spool(host) / "blobs").glob(".*.part*")))


def _waiting(row: Row) -> Row:
    """What lies on a host that nobody can ask any more is not lost."""
    return replace(row, there=row.lost, lost=0) if row.outcome.startswith(f"lost: {AWAY}") else row


def _for_a_while(fault: str, seconds: float) -> Act:
    def act(stage: Stage, cell: Cell) -> None:
        faults.befall(stage.name, fault, cell.host, BAD)
        time.sleep(seconds)
        faults.befall(stage.name, BACK[fault], cell.host)

    return act


def _for_ever(fault: str) -> Act:
    def act(stage: Stage, cell: Cell) -> None:
        faults.befall(stage.name, fault, cell.host)

    return act


def _inventory(lab: str, folder: Path, spool: str = SPOOL) -> Path:
    """Its hosts are driven over SSH, and have a place of their own for what they keep."""
    folder.mkdir(parents=True, exist_ok=True)
    hosts = yaml.safe_load(labs.load(lab).inventory.read_text())
    for host in hosts["hosts"].values():
        host.pop("ray", None)
        host["spool"] = spool
    path = folder / "inventory.yml"
    path.write_text(json.dumps(hosts, indent=1))
    return path
