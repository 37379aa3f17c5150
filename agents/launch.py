"""One launch on the host: its folder under the spool, who supervises it, and how far it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

from agents import journal, segments
from agents.limits import process
from agents.wire import Entry, WireError, dumps

#: Between the claim of a launch and its supervisor's first sign; longer means that nobody comes.
STARTING_S = 10.0

MISSING, STARTING, RUNNING, ENDED, LOST = "missing", "starting", "running", "ended", "lost"

#: In the environment of everything that a launch starts, so that `sweep` can tell leftovers.
MARK = "ORCH_LAUNCH_DIR"

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,199}\Z")


def check_name(name: str, what: str) -> str:
    """Raises WireError for what cannot be the name of a folder."""
    if not _NAME.match(name):
        raise WireError("%s: not usable as a folder's name: %r" % (what, name[:80]))
    return name


class Launch:
    """SPOOL/runs/RUN/STEP/LAUNCH/ and what lies in it. Nothing is made before `claim`."""

    def __init__(self, spool: Path, run: str, step: str, number: int) -> None:
        self.run = check_name(run, "run")
        self.step = check_name(step, "step")
        if number < 0:
            raise WireError("launch: %d is negative" % number)
        self.number = number
        self.folder = spool / "runs" / run / step / str(number)
        self.order = self.folder / "order.json"
        self.journal = self.folder / "journal.ndjson"
        self.pid_file = self.folder / "pid"
        self.stop_file = self.folder / "stop"
        #: when its journal was followed last, seconds since boot
        self.heard_file = self.folder / "heard"
        self.log = self.folder / "agent.log"

    def claim(self, order: bytes) -> bool:
        """True for exactly one caller, however many there are: the order's file is made exclusively.
        Raises OSError where the host cannot take it; nothing is left behind then."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            fd = os.open(self.order, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(order)
        except OSError:
            self.disclaim()
            raise
        return True

    def disclaim(self) -> None:
        """Take back a claim that came to nothing, so that a later start can try again."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path != self.order:
                    path.unlink()
        # the claim itself goes last: nobody else writes here before that
        for remove in (self.order.unlink, self.folder.rmdir, self.folder.parent.rmdir):
            with contextlib.suppress(OSError):
                remove()

    def write_pid(self) -> None:
        """Say that this process supervises the launch. Atomic: a reader sees all of it or nothing."""
        me = process(os.getpid())
        about = {"pid": os.getpid(), "start": me.start if me else 0, "boot": boot_id()}
        part = self.folder / ".pid"
        part.write_text(dumps(about))
        part.replace(self.pid_file)

    def supervisor(self) -> Optional[int]:
        """The supervisor's pid while it lives. A pid that was given to another process, or that is from
        before a reboot, is not it."""
        try:
            about = json.loads(self.pid_file.read_text())
            pid, start, boot = int(about["pid"]), int(about["start"]), str(about["boot"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        found = process(pid)
        if found is None or found.start != start or found.state in "ZX" or boot != boot_id():
            return None
        return pid

    def hear(self) -> None:
        """Somebody follows it at this moment."""
        with contextlib.suppress(OSError):
            part = self.folder / (".heard.%d" % os.getpid())
            part.write_text("%.1f\n" % time.monotonic())
            part.replace(self.heard_file)

    def heard(self) -> float:
        """By the monotonic clock, when it was followed last; 0.0 where that cannot be told."""
        with contextlib.suppress(OSError, ValueError):
            return float(self.heard_file.read_text())
        return 0.0

    def state(self) -> str:
        if not self.order.exists():
            return MISSING
        if self.ended() is not None:
            return ENDED
        if self.supervisor() is not None:
            return RUNNING
        # asked again: it may have ended between the two questions
        if self.ended() is not None:
            return ENDED
        if self.pid_file.exists():
            return LOST
        with contextlib.suppress(OSError):
            if time.time() - self.order.stat().st_mtime < STARTING_S:
                return STARTING
        return LOST

    def settle(self, wait_s: float) -> str:
        """The state, once it is no longer `starting`."""
        end = time.monotonic() + wait_s
        while True:
            state = self.state()
            if state != STARTING or time.monotonic() > end:
                return state
            time.sleep(0.01)

    def ended(self) -> Optional[Entry]:
        return journal.ended(self.journal)

    def measured_cpus(self) -> "list[int]":
        """As ordered; empty where they cannot be told."""
        try:
            cpus = json.loads(self.order.read_text()).get("cpus", [])
            return [int(c) for c in cpus]
        except (OSError, ValueError, AttributeError, TypeError):
            return []

    def describe(self) -> Dict[str, Any]:
        last = self.ended()
        with contextlib.suppress(OSError):
            size = segments.size(self.journal)
            return {**self._name(), "state": self.state(), "journal_bytes": size, "ended": _data(last)}
        return {**self._name(), "state": self.state(), "journal_bytes": 0, "ended": None}

    def _name(self) -> Dict[str, Any]:
        return {"run": self.run, "step": self.step, "launch": self.number}

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _data(entry: Optional[Entry]) -> Optional[Dict[str, Any]]:
    return entry.data if entry is not None else None


def launches(spool: Path, run: Optional[str] = None) -> Iterator[Launch]:
    """All under the spool (or of one run), in order of their names."""
    for run_folder in _folders(spool / "runs"):
        if run is not None and run_folder.name != run:
            continue
        for step_folder in _folders(run_folder):
            for folder in _folders(step_folder):
                if folder.name.isdigit() and _NAME.match(step_folder.name) and _NAME.match(run_folder.name):
                    yield Launch(spool, run_folder.name, step_folder.name, int(folder.name))


def _folders(parent: Path) -> "list[Path]":
    try:
        return sorted(p for p in parent.iterdir() if p.is_dir())
    except OSError:
        return []


def is_damaged(program: str) -> bool:
    """A shipped program whose bytes are no longer those that its name, their SHA-256, says."""
    name = program.rpartition("/")[2]
    if not _DIGEST.match(name):
        return False
    digest = hashlib.sha256()
    try:
        with open(program, "rb") as f:  # noqa: PTH123 - a path in an order is a str
            for block in iter(lambda: f.read(1 << 20), b""):
                digest.update(block)
    except OSError:
        return False  # whoever starts it says more
    return digest.hexdigest() != name


_BOOT: Dict[str, str] = {}


def boot_id() -> str:
    if "id" not in _BOOT:
        try:
            _BOOT["id"] = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            _BOOT["id"] = ""
    return _BOOT["id"]
