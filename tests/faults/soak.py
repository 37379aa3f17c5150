"""A soak: real steps on four hosts of a rack, and about once a minute something befalls one of them or the controller. A controller
that ended before everything was made is told to go on. In the end it is counted what was planned, written, lost, doubled and left.

    .venv/bin/python tests/faults/soak.py [MINUTES] [--work MINUTES] [--seed N] [--keep FOLDER]

Faults go on for MINUTES (5). So much work is planned (or `--work`), and what the faults have cost is made up for afterwards. Prints what happens as
it happens, then what came of it. Exit code 0 where everything holds, 1 where something does not, 2 where this machine has no racks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import soak_faults
import yaml
from soak_faults import Done, Scene
from soak_report import Session, Told, told

from orchestrator.errors import OrchError
from orchestrator.lab import labs, loopback, rack

ROOT = Path(__file__).resolve().parents[2]
HOSTS = 4
#: on each host
SPOOL = "/var/tmp/orch-soak"
#: Minutes of planned work after which the kinds of steps come again.
ROUND_MIN = 5.0
#: of one launch
WARMUP_S, SECONDS = 1.0, 9.0
SAMPLE_S = 2.0
WEEK_MIN = 7 * 24 * 60
#: A session that ended by itself was not ended by a fault; so many in vain in a row, and something is wrong.
MOST_IN_VAIN = 6
#: a job of each kind, light enough for four hosts on few CPUs
KINDS: dict[str, dict[str, Any]] = {
    "bench": {"workload": "native", "with": {"bench": "capability_churn"}, "threads": 1},
    "load": {
        "workload": "stress_ng",
        "with": {"stressors": {"cpu": 1}, "options": ["--cpu-load", "20"], "patience": 60.0},
    },
    "timer": {"workload": "cyclictest", "with": {"interval": 10000, "priority": 0, "patience": 60.0}},
    "ticks": {
        "workload": "command",
        "with": {
            "argv": ["sh", "-c", "i=0; while [ $i -lt 10 ]; do echo tick $i; i=$((i+1)); sleep 1; done"]
        },
    },
}


def book(minutes: float, seed: int) -> dict[str, Any]:
    """Rounds of one job of each kind; a step of each on every host."""
    rounds = max(1, round(minutes / ROUND_MIN))
    launches = max(2, int(minutes * 60 / rounds / len(KINDS) / (WARMUP_S + SECONDS)))
    jobs = []
    for number in range(1, rounds + 1):
        for kind, job in KINDS.items():
            measured = {
                "measure": {"warmup": f"{WARMUP_S:g}s", "seconds": f"{SECONDS:g}s", "interval": "500ms"}
            }
            if job["workload"] == "command":
                measured = {}
            jobs.append({"name": f"{kind}-{number:02d}", "launches": launches, **job, **measured})
    return {"orch": 1, "name": "soak", "seed": seed, "lease": {"for": "12h", "ttl": "60s"}, "jobs": jobs}


@dataclass(frozen=True)
class Asked:
    """``minutes`` of faults, one ``every_s``, while ``work`` minutes of launches are made. ``one_session``: the controller is not killed,
    and so its memory can be judged over all of it."""

    minutes: float
    work: float
    seed: int
    every_s: float = soak_faults.EVERY_S
    one_session: bool = False


class Soak:
    """One of them, over a lab that is up."""

    def __init__(self, lab: str, folder: Path, asked: Asked) -> None:
        self.lab, self.folder, self.asked = lab, folder, asked
        self.runs = folder / "runs"
        self.sessions: list[Session] = []
        self.done: list[Done] = []
        self._now: psutil.Process | None = None
        self._over = threading.Event()
        self._began = time.monotonic()

    def run(self) -> Told:
        self.runs.mkdir(parents=True)
        (self.folder / "soak.json").write_text(json.dumps(book(self.asked.work, self.asked.seed), indent=1))
        torment = threading.Thread(target=self._torment, name="faults", daemon=True)
        torment.start()
        try:
            self._sessions()
        finally:
            self._over.set()
            torment.join(120.0)
        soak_faults.all_well(self.lab)
        if not list(self.runs.glob("*/plan.json")):
            said = (self.folder / "session-1.log").read_text().splitlines()
            return Told([(False, f"no run began: {' / '.join(said[-2:])}")])
        return told(self.lab, SPOOL, self._run(), self.sessions, self.done, self._mark)

    # -- the controller ----------------------------------------------------------------------------

    def _sessions(self) -> None:
        begin = ["run", "playbook", str(self.folder / "soak.json"), "-i", str(self._inventory())]
        words, vain = begin, 0
        while vain < MOST_IN_VAIN:
            session = self._session([*words, "--runs", str(self.runs)])
            self._say(f"session {len(self.sessions)} ended with {session.code} after {session.seconds:.0f} s")
            if session.code == 0:
                return
            vain = 0 if session.code < 0 else vain + 1
            if vain and session.seconds < SAMPLE_S * 10:
                time.sleep(SAMPLE_S * 5)  # refused: what refuses it may be over soon
            if self._is_through():
                self._over.set()
                soak_faults.all_well(self.lab)
            if self._planned():
                words = ["resume", "last"]

    def _session(self, words: list[str]) -> Session:
        number = len(self.sessions) + 1
        argv = [sys.executable, "-m", "orchestrator.cli.app", *words]
        environment = {**os.environ, "ORCH_SOAK": self._mark}
        with (self.folder / f"session-{number}.log").open("w") as log:
            process = subprocess.Popen(
                argv, stdout=log, stderr=log, cwd=ROOT, env=environment, start_new_session=True
            )
        self._now = psutil.Process(process.pid)
        session = Session(words[0], process.pid, time.time())
        self.sessions.append(session)
        try:
            while process.poll() is None:
                session.sample(self._now)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(SAMPLE_S)
        except BaseException:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in soak_faults.family(self._now):
                    one.kill()
            process.wait()
            raise
        finally:
            self._now = None
        session.code, session.ended = process.returncode, time.time()
        (self.folder / f"memory-{number}.json").write_text(json.dumps(session.samples))
        return session

    @property
    def _mark(self) -> str:
        """Of everything that was started here."""
        return str(self.folder)

    def _planned(self) -> bool:
        return any(self.runs.glob("*/journal/h*/*.ndjson"))

    def _run(self) -> Path:
        (found,) = [p.parent for p in self.runs.glob("*/plan.json")]
        return found

    def _is_through(self) -> bool:
        return time.monotonic() - self._began > self.asked.minutes * 60

    def _inventory(self) -> Path:
        """The lab's, with a place for what hosts keep."""
        hosts = yaml.safe_load(labs.load(self.lab).inventory.read_text())
        for host in hosts["hosts"].values():
            host["spool"] = SPOOL
        path = self.folder / "inventory.yml"
        path.write_text(json.dumps(hosts, indent=1))
        return path

    # -- the faults --------------------------------------------------------------------------------

    def _torment(self) -> None:
        """From when there is something to lose."""
        while not self._planned() and not self._over.wait(0.5):
            pass
        self._began = time.monotonic()
        hosts = [host.name for host in labs.load(self.lab).hosts]
        scene = Scene(self.lab, SPOOL, lambda: self._now, self._over)
        spared = soak_faults.ENDS_SESSION if self.asked.one_session else ()
        draws = soak_faults.drawn(self.asked.seed, hosts, self.asked.minutes * 60, self.asked.every_s, spared)
        soak_faults.befall(scene, draws, self._befell)

    def _befell(self, done: Done) -> None:
        self.done.append(done)
        self._say(f"{done.draw.what} {done.draw.host}: {done.text}")

    def _say(self, text: str) -> None:
        load = os.getloadavg()[0]
        print(f"{time.strftime('%H:%M:%S')}  load {load:4.1f}  {text}", flush=True)


@contextlib.contextmanager
def hosts_up() -> Iterator[str]:
    name = f"soak{os.getpid()}"
    rack.up(name, HOSTS)
    try:
        yield name
    finally:
        loopback.down(name)


def soaked(folder: Path, asked: Asked) -> Told:
    """The whole of one, in ``folder``, which must be empty. Raises OrchError where there is no rack to be had."""
    with hosts_up() as lab:
        return Soak(lab, folder, asked).run()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("minutes", nargs="?", type=float, default=5.0)
    parser.add_argument("--work", type=float, help="minutes of launches; as many as of faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--one-session", action="store_true", help="the controller is not killed: its memory in one piece"
    )
    parser.add_argument("--keep", type=Path, help="an empty folder for the run and what was said")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    work = asked.minutes if asked.work is None else asked.work
    if not (0 < asked.minutes <= WEEK_MIN and 0 < work <= WEEK_MIN):
        parser.error("MINUTES: more than 0, a week at most")
    with tempfile.TemporaryDirectory(prefix="orch-soak-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            parser.error(f"{folder} is not empty")
        try:
            found = soaked(
                folder.resolve(), Asked(asked.minutes, work, asked.seed, one_session=asked.one_session)
            )
        except OrchError as e:
            print(f"soak: {e}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("soak: interrupted; nothing is left of it", file=sys.stderr)
            return 130
    print(found.text())
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
