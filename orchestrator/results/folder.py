"""The run folder: where every file of a run lies, and the only code that writes journals.

runs/<id>/
  plan.json              the plan, before the first host is touched; hosts that answer only to a later session are added by it
  playbook.yml           as resolved; holds nothing secret, as what it was read from
  inventory.yml          hosts as resolved, with their variables where nothing was known of them yet; nothing secret either
  facts/<host>.json      facts of each host
  bundle.json            manifest of what was shipped
  journal/controller.ndjson         what the controller did, same line format as the agents' journals
  journal/<host>/<step>.ndjson      byte for byte what the agent on the host wrote
  evidence/<host>/<step>/<launch>/  computed: of each launch that went wrong, what its journal holds about why, as text
  logs/                  Ray's and the transports' own logs
  tables/*.parquet       computed, can be deleted
  findings.json          computed
  junit.xml              computed, where exported
  run.log                what went wrong in the program itself, with tracebacks
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.wire import Entry, WireError, entry_line, parse_entry
from orchestrator.errors import InputError, RunFolderError

#: Kinds of an entry in the controller's journal, and what ``data`` holds.
#: run_started  {run, name, seed, argv, orch_version, bundle, git_commit, git_dirty}
#: host         {host, status: "ok"|"lost"|"quarantined", reason, clock_offset_s, bytes_shipped}
#: lease        {host, status: "held"|"refused"|"released"|"gone"|"left", reason, put_in_order?, restored?, not_restored?}
#: cluster      {nodes, tls, health, ports, object_store_bytes}   Ray's, once the hosts have joined; nodes: how many, the controller's included
#: reboot       {host, exit, said, reason}    the user's command that boots it anew; exit: its status, null where it has none
#: reach        {host, job, status: "away"|"back"|"full"|"room", reason}   away: the link is lost, and what runs on the host goes on; `host` says when it is lost
#:                                                   for good. full: no room for another launch, which is waited for
#: node         {host, status: "joined"|"apart"|"lost"|"parted"|"left", reason}   of the Ray cluster; host empty: of all of it; apart, and lost until it has joined again: driven over SSH
#: seat         {host, job, at}   the job is driven on the host itself, which calls itself so
#: clock        {host, offset_s, error_s, used_s, reason}   the host's wall clock minus this machine's, and by how much that may be wrong
#: barrier      {job, round, starts: host → seconds after the moment agreed on, skew_s, waited_for: [hosts]}
#: tuned        {host, reason, settings: name → {asked, before, after, ok, why}}
#: step_done    {host, job, step, reason}            all launches that it needed were made
#: step_failed  {host, job, step, reason}            could not be carried out
#: step_stopped {host, job, step, reason}            a stop condition or the user ended it early
#: step_skipped {host, job, step, reason}
#: step_lost    {host, job, step, reason}
#: step_invalid {host, job, step, reason}            its host was found broken
#: evidence     {host, job, step, launch, name, lines}    of a launch that was lost: what its host says about it
#: launch_lost  {host, job, step, launch, reason}    its journal ends without an `ended`, or it was ended by others
#: launch_again {host, job, step, launch, reason}    cut short before the run was resumed: another one is made in its place
#: stop         {job, host, reason, verdict}         a stop condition fired for the job; host empty: on all hosts
#: nemesis      {host, job, step, launch, fault, phase: "begin"|"end", text}   a fault on purpose
#: interrupted  {signal}
#: run_ended    {interrupted}
CONTROLLER_KINDS = (
    "run_started",
    "host",
    "lease",
    "reboot",
    "cluster",
    "node",
    "reach",
    "seat",
    "clock",
    "barrier",
    "tuned",
    "step_done",
    "step_failed",
    "step_stopped",
    "step_skipped",
    "step_lost",
    "step_invalid",
    "evidence",
    "launch_lost",
    "launch_again",
    "stop",
    "nemesis",
    "interrupted",
    "run_ended",
)

_ID = re.compile(r"^[A-Za-z0-9._-]+$")


@dataclass(frozen=True)
class JournalFault:
    """A line that could not be read; line numbers start at 1."""

    path: Path
    line: int
    what: str


def new_run_id(name: str, now: float | None = None) -> str:
    """``20261123-201530-quickstart-3fa9``: sorts by time, says what it was, and is unique."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")[:40] or "run"
    return f"{stamp}-{slug}-{secrets.token_hex(2)}"


class RunFolder:
    """One run on disk. Every write that fails raises RunFolderError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._controller_seq: int | None = None
        #: what keeps others out
        self._held: contextlib.ExitStack | None = None
        #: hosts join a cluster again from a thread of their own, and it is noted
        self._noting = threading.Lock()

    @property
    def id(self) -> str:
        return self.path.name

    @classmethod
    def create(cls, root: Path, name: str) -> RunFolder:
        for _ in range(8):
            folder = cls(root / new_run_id(name))
            try:
                folder.path.mkdir(parents=True)
                (folder.path / "journal").mkdir()
            except FileExistsError:
                continue
            except OSError as e:
                raise RunFolderError(str(folder.path), f"cannot be made: {e.strerror}") from e
            return folder
        raise RunFolderError(str(root), "no free name for a run folder")

    @classmethod
    def open(cls, root: Path, name: str) -> RunFolder:
        """``name``: an id, a unique prefix or suffix of one, a path, or ``last``."""
        if "/" in name and (Path(name) / "plan.json").is_file():
            return cls(Path(name).resolve())
        found = runs(root)
        if name == "last" and found:
            return found[-1]
        exact = [f for f in found if f.id == name]
        close = exact or [f for f in found if f.id.startswith(name) or f.id.endswith(name)]
        if len(close) == 1:
            return close[0]
        if close:
            raise InputError(name, "more than one run: " + ", ".join(f.id for f in close[:5]))
        known = ", ".join(f.id for f in found[-3:]) or "none yet"
        raise InputError(name, f"no such run under {root}/", f"the newest: {known}")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else goes on with this run meanwhile. Raises InputError where somebody is at it."""
        with contextlib.ExitStack() as held:
            if not _lock(held.enter_context(self.plan.open()).fileno()):
                raise InputError(self.id, "this run is under way")
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def plan_again(self, text: str) -> None:
        """Another plan in place of the one that is there, by who holds this run and goes on holding it: the lock lies on the file."""
        assert self._held is not None
        new = self.write("plan.new", text)
        try:
            fcntl.flock(self._held.enter_context(new.open()), fcntl.LOCK_EX)
            new.replace(self.plan)
        except OSError as e:
            raise RunFolderError(str(self.plan), f"cannot be written: {e.strerror}") from e

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def tables(self) -> Path:
        return self.path / "tables"

    @property
    def findings(self) -> Path:
        return self.path / "findings.json"

    @property
    def log(self) -> Path:
        return self.path / "run.log"

    @property
    def controller_journal(self) -> Path:
        return self.path / "journal" / "controller.ndjson"

    def facts(self, host: str) -> Path:
        return self.path / "facts" / f"{_safe(host)}.json"

    def journal(self, host: str, step: str) -> Path:
        return self.path / "journal" / _safe(host) / f"{_safe(step)}.ndjson"

    def evidence(self, host: str, step: str, launch: int) -> Path:
        return self.path / "evidence" / _safe(host) / _safe(step) / str(launch)

    def write(self, relative: str, text: str | bytes) -> Path:
        """Atomically: a reader sees the old file or the new one."""
        target = self.path / relative
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(text.encode() if isinstance(text, str) else text)
            temporary.replace(target)
        except OSError as e:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise RunFolderError(str(target), f"cannot be written: {e.strerror}") from e
        return target

    def append(self, host: str, step: str, lines: bytes) -> None:
        """Whole journal lines of one step, as they came from the host."""
        self._append(self.journal(host, step), lines)

    def note(self, kind: str, data: dict[str, Any]) -> Entry:
        """One entry of the controller's journal; ``t`` is this machine's clock."""
        if kind not in CONTROLLER_KINDS:
            raise ValueError(kind)
        with self._noting:
            if self._controller_seq is None:
                self._controller_seq = sum(1 for _ in _lines(self.controller_journal))
            entry = Entry(self._controller_seq, 0, time.time(), time.monotonic(), kind, data)
            self._append(self.controller_journal, entry_line(entry).encode())
            self._controller_seq += 1
        return entry

    def mend(self, path: Path) -> None:
        """Cut off the last line of a journal where it was being written when the writer ended."""
        if not path.is_file():
            return
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            try:
                os.truncate(path, whole)
            except OSError as e:
                raise RunFolderError(str(path), f"cannot be written: {e.strerror}") from e

    def write_log(self, text: str) -> None:
        """Something that went wrong in the program itself; whole lines."""
        self._append(self.log, text.encode())

    def _append(self, path: Path, data: bytes) -> None:
        if not (self.path / "plan.json").is_file():
            # never make it anew: a journal without its beginning would look like one that lost nothing
            raise RunFolderError(str(self.path), "the run folder is gone", "was it moved or removed?")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as f:
                f.write(data)
        except OSError as e:
            raise RunFolderError(str(path), f"cannot be written: {e.strerror}") from e


def _lock(fd: int) -> bool:
    """Tried for a moment: whoever only looks whether it is held (`tail.is_driven`) has it for that long."""
    for attempt in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.0 if attempt == 4 else 0.05)
        else:
            return True
    return False


def _safe(name: str) -> str:
    if not _ID.match(name.replace("@", "-")):
        raise ValueError(f"not usable as a file name: {name!r}")
    return name


def runs(root: Path) -> list[RunFolder]:
    """All run folders under ``root``, oldest first."""
    if not root.is_dir():
        return []
    return [RunFolder(p) for p in sorted(root.iterdir()) if (p / "plan.json").is_file()]


def _lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as f:
            yield from f


def read_journal(path: Path, faults: list[JournalFault]) -> Iterator[Entry]:
    """The entries of a journal file. A bad line goes to ``faults`` and is left out; a last line
    without a newline is one that was being written, and is left out the same way."""
    for number, raw in enumerate(_lines(path), start=1):
        try:
            if not raw.endswith(b"\n"):
                raise WireError("cut in the middle of a line")
            yield parse_entry(raw.decode())
        except (WireError, UnicodeDecodeError) as e:
            faults.append(JournalFault(path, number, str(e)))


def read_json(path: Path) -> Any:
    """Raises InputError where it is missing or not JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise InputError(str(path), f"cannot be read: {e}") from e
