"""A host for tests: the agent as it is shipped, a spool of its own, real processes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipapp
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import agents
from agents.bootstrap import ARCHIVE_MAIN
from agents.journal import Reader
from agents.wire import Entry, Limits, Order, dumps, encode, parse_entry

Start = Callable[[], None]


def wait_for(what: Callable[[], bool], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@dataclass
class Host:
    """The agent on this machine, called as the controller calls it."""

    archive: Path
    spool: Path
    folder: Path
    python: tuple[str, ...] = (sys.executable, "-I")
    started: list[Order] = field(default_factory=list)

    def agent(
        self, *argv: str, stdin: bytes = b"", prepare: Start | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Raises TimeoutExpired where it keeps a pipe open."""
        return subprocess.run(
            [*self.python, str(self.archive), argv[0], "--spool", str(self.spool), *argv[1:]],
            input=stdin,
            capture_output=True,
            timeout=240,
            check=False,
            preexec_fn=prepare,
        )

    def order(self, *argv: str, **changes: Any) -> Order:
        """A `command` that runs ``argv``."""
        base = Order(
            protocol=1,
            run="run-1",
            host="here",
            job="job",
            step="job-0001@here",
            launch=len(self.started),
            workload="command",
            settings={"argv": list(argv)},
            program="",
            threads=1,
            cpus=[],
            mem="local",
            warmup_s=0.0,
            seconds=1.0,
            interval_s=1.0,
            seed=7,
            limits=Limits(wall_s=30.0),
            vitals_every_s=0.0,
        )
        limits = {
            k: changes.pop(k)
            for k in ("wall_s", "memory_bytes", "output_bytes", "core_bytes")
            if k in changes
        }
        return dataclasses.replace(base, limits=dataclasses.replace(base.limits, **limits), **changes)

    def python_order(self, code: str, **changes: Any) -> Order:
        return self.order(sys.executable, "-I", "-S", "-c", code, **changes)

    def harness_order(self, code: str, **changes: Any) -> Order:
        """A `native` step whose harness is a script: what it prints is expected to be records."""
        program = self.folder / f"harness-{len(self.started)}"
        program.write_text(f"#!{sys.executable} -IS\n{code}\n")
        program.chmod(0o755)
        return self.order(workload="native", program=str(program), settings={"bench": "any"}, **changes)

    def start(self, order: Order, prepare: Start | None = None) -> dict[str, Any]:
        self.started.append(order)
        done = self.agent("start", stdin=dumps(encode(order)).encode(), prepare=prepare)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def which(self, order: Order) -> tuple[str, ...]:
        return ("--run", order.run, "--step", order.step, "--launch", str(order.launch))

    def follow(self, order: Order, offset: int = 0) -> subprocess.CompletedProcess[bytes]:
        return self.agent("follow", *self.which(order), "--offset", str(offset))

    def stop(self, order: Order) -> str:
        done = self.agent("stop", *self.which(order))
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["state"])

    def status(self, order: Order) -> dict[str, Any]:
        done = self.agent("status", *self.which(order))
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def launch_folder(self, order: Order) -> Path:
        return self.spool / "runs" / order.run / order.step / str(order.launch)

    def journal(self, order: Order) -> bytes:
        """All of it, whatever pieces it is in."""
        reader = Reader(self.launch_folder(order) / "journal.ndjson")
        got = b""
        while piece := reader.read():
            got += piece
        reader.close()
        return got

    def supervisor(self, order: Order) -> int:
        return int(json.loads((self.launch_folder(order) / "pid").read_text())["pid"])

    def run(self, order: Order, prepare: Start | None = None) -> list[Entry]:
        """Start and follow to the end; what every journal must be is checked here."""
        assert self.start(order, prepare)["started"]
        return self.finish(order)

    def finish(self, order: Order) -> list[Entry]:
        done = self.follow(order)
        assert done.returncode == 0, done.stderr
        data = b"".join(x for x in done.stdout.splitlines(keepends=True) if x != b"\n")
        assert data == self.journal(order)
        entries = [parse_entry(line) for line in data.decode().splitlines()]
        assert [e.seq for e in entries] == list(range(len(entries)))
        assert {e.launch for e in entries} == {order.launch}
        assert [e.kind for e in entries].count("ended") == 1
        assert entries[0].kind == "started"
        assert entries[-1].kind == "ended"
        assert set(entries[-1].data) == {
            *("reason", "exit", "signal", "seconds", "records", "garbage", "truncated"),
            *("max_rss_bytes", "core", "message"),
        }
        assert [e.mono for e in entries] == sorted(e.mono for e in entries)
        log = self.launch_folder(order) / "agent.log"
        assert entries[-1].data["reason"] in ("error", "disk") or log.read_text() == ""
        return entries

    def close(self) -> None:
        for order in self.started:
            with_pid = self.launch_folder(order) / "pid"
            if with_pid.exists() and is_alive(self.supervisor(order)):
                os.kill(self.supervisor(order), signal.SIGKILL)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    source = Path(agents.__file__).parent
    shutil.copytree(source, folder / "in" / "agents", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "in" / "__main__.py").write_text(ARCHIVE_MAIN)
    zipapp.create_archive(folder / "in", folder / "agent.pyz", compressed=True)
    return folder / "agent.pyz"


@pytest.fixture
def host(archive: Path, tmp_path: Path) -> Iterator[Host]:
    here = Host(archive, tmp_path / "spool", tmp_path)
    yield here
    here.close()
