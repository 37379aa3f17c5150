"""Where faults happen: a lab, a run over it, and hands that do something to it when a certain entry has come in."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_table import Row, Told, account, running, whole
from orch_process import endings, start, wait_for

from agents.wire import WireError, parse_entry
from orchestrator.lab import labs, life

#: prints ticks, ten a second, and does something at one of them: count, at, what
TICKS = """
i=0
while [ $i -lt $1 ]; do
  echo "tick $i;"
  [ $i = "$2" ] && eval "$3"
  i=$((i + 1))
  sleep 0.1
done
"""
#: until somebody says so: what is done from outside is done while the launch runs, however busy the machine is
HOLD = "until [ -e go ] || [ -e ../../go ] || [ $ORCH_LAUNCH != NUMBER ]; do sleep 0.05; done"
#: As a harness would have it: the first second warms up.
WARMUP, MEASURE, LAST = 3, 13, 19
COUNT = 20

#: sets pid and guard to the two processes of the agent; L is the launch's folder
AGENT = """
pid=$(sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p' "$L/pid")
guard=$(awk '{print $4}' /proc/$pid/stat)
"""


def ticks(at: int | str = "", what: str = "", count: int = COUNT) -> list[str]:
    """The argv of a workload."""
    return ["sh", "-c", TICKS, "sh", str(count), str(at), what]


@dataclass
class Cell:
    """``act`` is done once the launch has printed tick ``at``, which holds it there. ``resumes``: it goes on afterwards."""

    fault: str
    moment: str
    host: str
    expected: str
    argv: list[str] = field(default_factory=ticks)
    at: int = -1
    act: Callable[[Stage, Cell], None] | None = None
    resumes: bool = False
    #: the launch that is held
    number: int = 0
    #: more of the job
    job: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    #: when the fault was, by our clock; 0 while it was not
    when: float = 0.0
    after_s: float | None = None
    #: whose word does not come by itself: how long it took is told
    tell: bool = True

    @property
    def step(self) -> str:
        return f"{self.name}-0000@{self.host}"


class Stage:
    """One run over a lab whose hosts each have a list of cells, one after the other."""

    def __init__(
        self, lab: str, runs: Path, cells: Sequence[Cell], inventory: str = "", spool: str = ""
    ) -> None:
        """``inventory`` and ``spool`` (on each host) where they are not the lab's own."""
        self.name, self.runs, self.cells = lab, runs, list(cells)
        self.inventory, self._spool = inventory or f"lab:{lab}", spool
        for number, cell in enumerate(self.cells):
            cell.name = cell.name or f"c{number:02d}"
            if cell.act is not None:
                hold(cell)
        runs.mkdir(parents=True, exist_ok=True)
        self.book = runs / "book.json"

    @property
    def lab(self) -> labs.Lab:
        return labs.load(self.name)

    def start(self, *words: str, book: dict[str, Any] | None = None) -> subprocess.Popen[str]:
        jobs = [
            {"name": c.name, "hosts": c.host, "workload": "command", "with": {"argv": c.argv}, **c.job}
            for c in self.cells
        ]
        self.book.write_text(json.dumps({"orch": 1, "name": "faults", "jobs": jobs, **(book or {})}))
        words = ("-i", self.inventory, "--runs", str(self.runs), *words)
        return start("run", "playbook", self.book, *words)

    @property
    def run(self) -> Path:
        (found,) = [p.parent for p in self.runs.glob("*/plan.json")]
        return found

    def resume(self) -> subprocess.Popen[str]:
        """Nothing is held any more."""
        for host in {c.host for c in self.cells}:
            self.let_go(host, Path("runs") / self.run.name)
        return start("resume", self.run.name, "--runs", str(self.runs))

    def journal(self, cell: Cell) -> Path:
        """In the run folder."""
        return self.run / "journal" / cell.host / f"{cell.step}.ndjson"

    def has(self, cell: Cell) -> bool:
        return ticked(self.journal(cell), cell)

    def spool(self, host: str) -> Path:
        """As the host sees it, which may have mounted something there; where it is dead, what is left of it."""
        found = self.lab.host(host)
        inside = f"/proc/{found.sshd.pid}/root" if found.alive and found.sshd else ""
        return Path(f"{inside}{self.spool_there(host)}")

    def spool_there(self, host: str) -> Path:
        return Path(self._spool) if self._spool else self.lab.path / host / "spool"

    def launch(self, cell: Cell) -> Path:
        """The folder of the launch that is held, from here."""
        return self.spool(cell.host) / "runs" / self.run.name / cell.step / str(cell.number)

    def launch_there(self, cell: Cell) -> Path:
        """The same, as the host calls it."""
        return self.spool_there(cell.host) / "runs" / self.run.name / cell.step / str(cell.number)

    def on(self, host: str, script: str, **names: str | Path) -> str:
        """What ``script`` says on the host; ``names`` are its variables."""
        lab = self.lab
        given = [f"{k}={v}" for k, v in names.items()]
        command = life.kind_of(lab).at(lab, lab.host(host), ["env", *given, "sh", "-c", script])
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.stdout

    def play(self, process: subprocess.Popen[str]) -> None:
        """Do what is to be done as the run goes on, each host's in its order."""
        patiently(lambda: list(self.runs.glob("*/plan.json")) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        hosts = list(dict.fromkeys(c.host for c in self.cells))
        with ThreadPoolExecutor(len(hosts)) as hands:
            list(hands.map(lambda host: self._play(process, host), hosts))

    def _play(self, process: subprocess.Popen[str], host: str) -> None:
        for cell in self.cells:
            if cell.host == host and cell.act is not None:
                try:
                    self._befall(process, cell, cell.act)
                except BaseException:
                    process.kill()  # the others wait for it
                    raise

    def _befall(self, process: subprocess.Popen[str], cell: Cell, act: Callable[[Stage, Cell], None]) -> None:
        journal = self.journal(cell)
        patiently(lambda: ticked(journal, cell) or process.poll() is not None)
        if process.poll() is not None:
            return
        before, cell.when = len(whole(journal)), time.time()
        act(self, cell)
        self.let_go(cell.host, self.launch_there(cell).relative_to(self.spool_there(cell.host)))
        if cell.resumes:
            patiently(
                lambda: len(whole(journal)) > before or process.poll() is not None or self.is_over(cell)
            )
            cell.after_s = time.time() - cell.when

    def let_go(self, host: str, folder: Path) -> None:
        """What is held in a folder of its spool, where that is still there."""
        with contextlib.suppress(OSError):
            (self.spool(host) / folder / "go").touch()

    def running(self) -> int:
        """Processes of the run that are left, wherever."""
        return len(running(f"ORCH_RUN={self.run.name}"))

    def is_over(self, cell: Cell) -> bool:
        """The controller has said how its step ended."""
        said = Told.of(self.run).notes
        return any(kind.startswith("step_") and step == cell.step for _, kind, step in said)

    def rows(self, code: int, expected: int, when: float = 0.0, still_s: float = 60.0) -> list[Row]:
        """After the run. ``when``: from when on it counts until there is a word, where that is no cell's own moment.
        ``still_s``: how long what runs on the hosts may take to end."""
        until = time.monotonic() + still_s
        while (left := self.running()) and time.monotonic() < until:
            time.sleep(0.1)
        told, ends = Told.of(self.run), endings(self.run)
        rows = []
        for cell in self.cells:
            kept = account(self.run, self.spool(cell.host), cell.host, cell.step)
            after = cell.after_s
            since = when or self._when(cell)
            if after is None and cell.tell and since:
                after = told.after(since, cell.step)
            outcome = ": ".join(x for x in ends[cell.step] if x)
            rows.append(
                Row(
                    cell.fault,
                    cell.moment,
                    cell.expected,
                    outcome,
                    after,
                    kept.lost,
                    kept.twice,
                    left,
                    code,
                    expected,
                )
            )
        return rows

    def _when(self, cell: Cell) -> float:
        """Of what a workload does to itself: when its tick was printed."""
        if cell.when:
            return cell.when
        for line in whole(self.journal(cell)):
            try:
                entry = parse_entry(line.decode())
            except (WireError, UnicodeDecodeError):
                continue
            if entry.data.get("text") == f"tick {cell.at};":
                return entry.t
        return 0.0


@contextlib.contextmanager
def ended_with(process: subprocess.Popen[str]) -> Iterator[None]:
    """A scene that goes wrong leaves no run behind."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def hold(cell: Cell) -> None:
    """Its launch waits at its tick."""
    cell.argv = ticks(cell.at, HOLD.replace("NUMBER", str(cell.number)))


def patiently(what: Callable[[], Any]) -> Any:
    """As `wait_for`, however busy the machine is."""
    return wait_for(what, timeout_s=900.0)


def ticked(journal: Path, cell: Cell) -> bool:
    words = (f"tick {cell.at};".encode(), f'"launch":{cell.number},'.encode())
    return any(all(w in x for w in words) for x in whole(journal))
