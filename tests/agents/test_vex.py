"""What is done to a host on purpose ends by itself and is put back, also where whoever does it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.vex import alone

if TYPE_CHECKING:
    from tests.agents.conftest import Host

ROOT = Path(__file__).parents[2]
#: three threads that do next to nothing until a file is there
THREADS = """
import os, threading, time
def idle():
    while not os.path.exists("go"):
        time.sleep(0.01)
for _ in range(3):
    threading.Thread(target=idle).start()
"""
#: a wall clock of its own, which is off by what a file says
CLOCK = """
import sys, time
from pathlib import Path
from agents import vex
off, real = Path(sys.argv[1]), time.clock_gettime
time.clock_gettime = lambda which: real(which) + (float(off.read_text()) if which == time.CLOCK_REALTIME else 0)
time.clock_settime = lambda which, to: off.write_text(str(to - real(which))) and None
print(vex.clock(3600.0, float(sys.argv[2])))
"""
CPUS = """
import sys
from agents import vex
try:
    print(vex.hotplug([2], float(sys.argv[2]), 1, sys.argv[1]))
except vex.NotDone as e:
    print("not done:", e)
"""


@pytest.fixture
def vexing() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def script(vexing: list[subprocess.Popen[str]], text: str, *words: str | Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", text, *map(str, words)]
    vexing.append(subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    return vexing[-1]


def wait_for(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.02)
    return False


def masks(supervisor: int) -> list[set[int]]:
    (child,) = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{child}/task").iterdir()]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU")
@pytest.mark.parametrize("killed", [False, True])
def test_threads_are_moved_about_and_are_where_they_were_afterwards(
    host: Host, vexing: list[subprocess.Popen[str]], killed: bool
) -> None:
    order = host.python_order(THREADS, wall_s=600.0)
    host.start(order)
    supervisor, all_of_them = host.supervisor(order), os.sched_getaffinity(0)
    assert wait_for(lambda: masks(supervisor) == [all_of_them] * 4)
    words = [*host.python, str(host.archive), "vex", "--spool", str(host.spool), *host.which(order)]
    words += ["--what", "pinning", "--for", "600" if killed else "2", "--seed", "3"]
    vexing.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
    assert wait_for(lambda: any(mask != all_of_them for mask in masks(supervisor)))
    if killed:
        vexing[-1].kill()
    said = vexing[-1].communicate()[0]
    assert wait_for(lambda: masks(supervisor) == [all_of_them] * 4)
    assert killed or json.loads(said)["text"].endswith(" times a thread was moved")
    (host.launch_folder(order) / "go").touch()
    assert host.finish(order)[-1].data["exit"] == 0
    ended = host.agent("vex", *host.which(order), "--what", "pinning", "--for", "1")
    assert json.loads(ended.stdout) == {"done": False, "text": "nothing of this launch runs any more"}


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_cpu_comes_back(
    tmp_path: Path, vexing: list[subprocess.Popen[str]], number: signal.Signals | None
) -> None:
    """In a tree of files: the CPUs of this machine are left alone."""
    for cpu in range(3):
        folder = tmp_path / "sys/devices/system/cpu" / f"cpu{cpu}"
        folder.mkdir(parents=True)
        if cpu:
            (folder / "online").write_text("1\n")
    file = tmp_path / "sys/devices/system/cpu/cpu2/online"
    process = script(vexing, CPUS, tmp_path, "600" if number else "1")
    assert wait_for(lambda: file.read_text() == "0")
    if number:
        process.send_signal(number)
    assert process.communicate()[0] == ("" if number else "CPU 2 was gone\n")
    assert wait_for(lambda: file.read_text().strip() == "1")


def test_where_no_cpu_can_go_that_is_said(tmp_path: Path, vexing: list[subprocess.Popen[str]]) -> None:
    (tmp_path / "sys/devices/system/cpu/cpu0").mkdir(parents=True)
    said = script(vexing, CPUS, tmp_path, "1").communicate()[0]
    assert said == "not done: this host has no CPU that could go\n"


@pytest.mark.parametrize("killed", [False, True])
def test_a_clock_is_set_back(tmp_path: Path, vexing: list[subprocess.Popen[str]], killed: bool) -> None:
    """One of its own: that of this machine is left alone."""
    off = tmp_path / "off"
    off.write_text("0")
    process = script(vexing, CLOCK, off, "600" if killed else "1")
    assert wait_for(lambda: abs(float(off.read_text() or 0) - 3600) < 1)
    if killed:
        process.kill()
    assert process.communicate()[0] == ("" if killed else "the clock was 3600 s ahead\n")
    assert wait_for(lambda: abs(float(off.read_text() or 3600)) < 1)


def test_two_of_a_kind_are_not_done_at_once(host: Host) -> None:
    """The first stands in for one under way: its lock is held."""
    host.spool.mkdir()
    with alone(host.spool, "hotplug"):
        done = host.agent("vex", "--what", "hotplug", "--for", "1")
    assert json.loads(done.stdout) == {"done": False, "text": "another one is under way"}


def test_what_is_no_fault_is_refused_in_one_line(host: Host) -> None:
    for words, said in (
        (["--what", "fire", "--for", "1"], "--what: hotplug, clock, or pinning of a launch, and not 'fire'"),
        (
            ["--what", "pinning", "--for", "1"],
            "--what: hotplug, clock, or pinning of a launch, and not 'pinning'",
        ),
        (["--what", "clock", "--for", "1"], "--by: must be more than 0"),
        (["--what", "hotplug", "--for", "0"], "--for: must be more than 0"),
    ):
        done = host.agent("vex", *words)
        assert done.returncode == 2
        assert done.stderr.decode() == f"orch agent: {said}\n"
