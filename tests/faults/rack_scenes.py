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
from orch_process import wait_for
from scenes import end
from stage import LAST, MEASURE, WARMUP, Cell, Stage

from orchestrator.lab import faults, labs
from orchestrator.lab.faults import Severity

HOSTS = 14
#: on each host
SPOOL = "/var/tmp/orch-faults"
SHORT_S = 5.0
#: how the reason begins of a host that nobody could ask any more
AWAY = "out of reach"
#: a host that is lost ends what runs there when its lease does
LEASE = {"lease": {"for": "20m", "ttl": "60s"}}
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


def rack(lab: str, runs: Path) -> list[Row]:
    """One run in which hosts are cut off, stand still or end, for a while or for ever; then its rest, with all of them back."""
    stage = Stage(lab, runs, _cells(), inventory=str(_inventory(lab, runs)), spool=SPOOL)
    faults.befall(lab, "slow", EARLY, BAD)
    process = stage.start("--patience", "20", book=LEASE)
    early = threading.Thread(target=_cut_while_shipped, args=(stage, process))
    early.start()
    stage.play(process)
    code = end(process)
    early.join()
    _all_back(lab)
    rows = stage.rows(code, 3, still_s=240.0)
    rows = [replace(r, there=r.lost, lost=0) if r.outcome.startswith(f"lost: {AWAY}") else r for r in rows]
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


def _cells() -> list[Cell]:
    cells = []
    for host, fault in PASSING.items():
        for moment, (at, number) in MOMENTS.items():
            name = f"{fault} {SHORT_S:g} s"
            cells.append(_cell(name, moment, host, "passed", at, number, _for_a_while(fault)))
    for host, (fault, moment) in LASTING.items():
        at, number = MOMENTS[moment]
        cells.append(_cell(f"{fault} for ever ({host})", moment, host, "lost", at, number, _for_ever(fault)))
    cells.append(Cell("slow from before", "before ship", EARLY, "passed", tell=False))
    cells.append(Cell(f"cut {SHORT_S:g} s", "during ship", EARLY, "passed", tell=False))
    return cells


def _cell(
    fault: str,
    moment: str,
    host: str,
    expected: str,
    at: int,
    number: int,
    act: Callable[[Stage, Cell], None],
) -> Cell:
    job = {"launches": number + 1}
    return Cell(
        fault, moment, host, expected, at=at, number=number, act=act, job=job, resumes=expected == "passed"
    )


def _for_a_while(fault: str) -> Callable[[Stage, Cell], None]:
    def act(stage: Stage, cell: Cell) -> None:
        faults.befall(stage.name, fault, cell.host, BAD)
        time.sleep(SHORT_S)
        faults.befall(stage.name, BACK[fault], cell.host)

    return act


def _for_ever(fault: str) -> Callable[[Stage, Cell], None]:
    def act(stage: Stage, cell: Cell) -> None:
        faults.befall(stage.name, fault, cell.host)

    return act


def _cut_while_shipped(stage: Stage, process: subprocess.Popen[str]) -> None:
    blobs = stage.spool(EARLY) / "blobs"
    wait_for(lambda: list(blobs.glob(".*.part")) or process.poll() is not None)
    _for_a_while("cut")(stage, Cell("", "", EARLY, ""))


def _all_back(lab: str) -> None:
    for host, (fault, _) in LASTING.items():
        faults.befall(lab, BACK[fault], host)


def _inventory(lab: str, folder: Path) -> Path:
    """Its hosts are driven over SSH, and have a place of their own for what they keep."""
    folder.mkdir(parents=True, exist_ok=True)
    hosts = yaml.safe_load(labs.load(lab).inventory.read_text())
    for host in hosts["hosts"].values():
        host.pop("ray", None)
        host["spool"] = SPOOL
    path = folder / "inventory.yml"
    path.write_text(json.dumps(hosts, indent=1))
    return path
