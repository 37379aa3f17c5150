"""start, follow, status, stop and sweep, as the controller uses them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agents import follow as follow_module
from agents.launch import ENDED, LOST, RUNNING, STARTING, Launch, boot_id
from agents.limits import process
from agents.wire import dumps, encode

if TYPE_CHECKING:
    from tests.agents.conftest import Host


def is_gone(pid: int, seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = process(pid)
        if found is None or found.state in "ZX":
            return True
        time.sleep(0.02)
    return False


def first_output(host: Host, order: Any) -> str:
    """The text of the first line that a running launch printed."""
    path = host.launch_folder(order) / "journal.ndjson"
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["kind"] == "output":
                return str(entry["data"]["text"])
        time.sleep(0.02)
    raise AssertionError("it printed nothing")


def test_start_returns_at_once_and_holds_no_pipe_open(host: Host) -> None:
    order = host.order("sleep", "600")
    assert host.start(order) == {"started": True, "state": "running"}
    assert host.status(order)["state"] == "running"


def test_a_second_start_starts_nothing_and_answers_the_state(host: Host) -> None:
    order = host.order("sleep", "600")
    assert host.start(order)["started"]
    before = host.supervisor(order)
    assert host.start(order) == {"started": False, "state": "running"}
    assert host.supervisor(order) == before
    assert host.stop(order) == "ended"
    assert host.start(order) == {"started": False, "state": "ended"}


def test_of_many_starts_at_once_exactly_one_starts(host: Host) -> None:
    order = host.order("sleep", "0.5")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: host.start(order), range(6)))
    assert sum(a["started"] for a in answers) == 1
    assert {a["state"] for a in answers} <= {"running", "ended"}
    assert [e.kind for e in host.finish(order)].count("started") == 1


def test_stop_asks_first_and_the_last_words_count(host: Host) -> None:
    code = (
        "import signal, sys, time\n"
        'def last(*_): print(\'{"type":"result","status":"stopped"}\', flush=True); sys.exit(0)\n'
        "signal.signal(signal.SIGTERM, last)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    order = host.python_order(code)
    host.start(order)
    first_output(host, order)
    assert host.stop(order) == "ended"
    end = host.finish(order)[-1].data
    assert (end["reason"], end["exit"], end["records"]) == ("stopped", 0, 1)


def test_stop_of_what_has_ended_changes_nothing(host: Host) -> None:
    order = host.order("true")
    before = host.run(order)
    assert host.stop(order) == "ended"
    assert host.finish(order) == before


@pytest.mark.parametrize("verb", ["follow", "status", "stop"])
def test_an_unknown_launch_is_exit_3_and_one_line(host: Host, verb: str) -> None:
    done = host.agent(verb, *host.which(host.order("true")))
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1


def test_follow_goes_on_from_any_line(host: Host) -> None:
    order = host.order("seq", "1", "5")
    host.run(order)
    whole = (host.launch_folder(order) / "journal.ndjson").read_bytes()
    offset = 0
    for line in whole.splitlines(keepends=True):
        offset += len(line)
        done = host.follow(order, offset)
        assert (done.returncode, done.stdout) == (0, whole[offset:])


def test_follow_tells_of_a_supervisor_that_is_gone(host: Host) -> None:
    code = (
        "import os, time\n"
        "grandchild = os.fork()\n"
        "if grandchild == 0:\n"
        "  os.setsid()\n"
        "else:\n"
        "  print(os.getpid(), grandchild, flush=True)\n"
        "time.sleep(600)"
    )
    order = host.python_order(code)
    host.start(order)
    child, grandchild = map(int, first_output(host, order).split())
    os.kill(host.supervisor(order), signal.SIGKILL)
    done = host.follow(order)
    assert done.returncode == 4
    assert b"ended" not in done.stdout
    assert is_gone(child)
    assert is_gone(grandchild)
    assert host.status(order)["state"] == "lost"
    assert host.start(order) == {"started": False, "state": "lost"}


def test_whoever_of_the_agent_is_killed_nothing_stays(host: Host) -> None:
    order = host.order("sleep", "600")
    host.start(order)
    supervisor = host.supervisor(order)
    found = process(supervisor)
    assert found is not None
    child = json.loads((host.launch_folder(order) / "journal.ndjson").read_text().splitlines()[0])["data"][
        "pid"
    ]
    os.kill(found.parent, signal.SIGKILL)
    assert is_gone(supervisor)
    assert is_gone(child)
    assert host.follow(order).returncode == 4


def test_sigterm_of_the_system_ends_a_launch_in_order(host: Host) -> None:
    order = host.order("sleep", "600")
    host.start(order)
    guard = process(host.supervisor(order))
    assert guard is not None
    os.kill(guard.parent, signal.SIGTERM)
    os.kill(guard.pid, signal.SIGTERM)
    assert host.finish(order)[-1].data["reason"] == "stopped"


@pytest.mark.parametrize("change", ["start", "boot"])
def test_a_pid_that_was_given_to_another_process_is_not_the_supervisor(tmp_path: Path, change: str) -> None:
    launch = Launch(tmp_path, "r", "s", 0)
    assert launch.claim(b"{}")
    launch.write_pid()
    assert launch.state() == RUNNING
    about = json.loads(launch.pid_file.read_text())
    assert (about["pid"], about["boot"]) == (os.getpid(), boot_id())
    about[change] = 1 if change == "start" else "another boot"
    launch.pid_file.write_text(json.dumps(about))
    assert launch.state() == LOST


def test_a_claim_is_given_once_and_can_be_taken_back(tmp_path: Path) -> None:
    launch = Launch(tmp_path, "r", "s", 0)
    assert [launch.claim(b"1"), launch.claim(b"2")] == [True, False]
    assert launch.order.read_bytes() == b"1"
    assert launch.state() == STARTING
    launch.disclaim()
    assert launch.claim(b"3")


def test_a_claim_whose_starter_died_is_lost_after_a_while(tmp_path: Path) -> None:
    launch = Launch(tmp_path, "r", "s", 0)
    launch.claim(b"{}")
    os.utime(launch.order, (time.time() - 60, time.time() - 60))
    assert launch.state() == LOST


def followed(host: Host, order: Any) -> list[bytes]:
    """The lines of a follower in this process."""
    host.start(order)
    before = os.sched_getaffinity(0)
    reading, writing = os.pipe()
    launch = Launch(host.spool, order.run, order.step, order.launch)
    try:
        assert follow_module.follow(launch, 0, writing) == 0
    finally:
        os.close(writing)
        os.sched_setaffinity(0, before)
    with os.fdopen(reading, "rb") as f:
        return f.read().splitlines(keepends=True)


def test_follow_shows_a_sign_of_life_while_nothing_happens(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_module, "KEEP_ALIVE_S", 0.2)
    for seconds in ("1", "5", "25"):  # longer where a busy machine hardly lets it look
        order = host.order("sleep", seconds)
        lines = followed(host, order)
        journal = (host.launch_folder(order) / "journal.ndjson").read_bytes()
        assert b"".join(x for x in lines if x != b"\n") == journal
        if lines.count(b"\n") >= 2:
            return
    raise AssertionError("it showed no sign of life")


def test_follow_gives_whole_lines_only(tmp_path: Path) -> None:
    launch = Launch(tmp_path, "r", "s", 0)
    launch.claim(b"{}")
    launch.write_pid()
    launch.journal.write_bytes(b"whole\nhal")
    reading, writing = os.pipe()
    raised: list[Exception] = []

    def run() -> None:
        try:
            follow_module.follow(launch, 0, writing)
        except BrokenPipeError as e:
            raised.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    assert os.read(reading, 100) == b"whole\n"
    with launch.journal.open("ab") as f:
        f.write(b"f\n")
    assert os.read(reading, 100) == b"half\n"
    # this process stands for the supervisor and goes on: follow ends when nobody reads any more
    os.close(reading)
    with launch.journal.open("ab") as f:
        f.write(b"nobody reads\n")
    thread.join(10)
    assert len(raised) == 1
    os.close(writing)


BAD: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "not JSON": lambda o: b"{",
    "no object": lambda o: b"[]",
    "NaN": lambda o: dumps({**o, "seconds": 0}).replace('"seconds":0', '"seconds":NaN').encode(),
    "missing": lambda o: dumps({k: v for k, v in o.items() if k != "threads"}).encode(),
    "wrong type": lambda o: dumps({**o, "threads": "two"}).encode(),
    "protocol": lambda o: dumps({**o, "protocol": 2}).encode(),
    "workload": lambda o: dumps({**o, "workload": "nothing"}).encode(),
    "run leaves the spool": lambda o: dumps({**o, "run": ".."}).encode(),
    "step is a path": lambda o: dumps({**o, "step": "a/b"}).encode(),
    "launch": lambda o: dumps({**o, "launch": -1}).encode(),
    "wall": lambda o: dumps({**o, "limits": {"wall_s": 0}}).encode(),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_order_is_exit_2_one_line_and_nothing_on_disk(host: Host, case: str) -> None:
    done = host.agent("start", stdin=BAD[case](encode(host.order("true"))))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert not host.spool.exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["start", "--run", "x"],
        ["follow", "--run"],
        ["follow"],
        ["status", "--launch", "x", "--step", "s"],
        ["sweep", "--older-than", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2_and_one_line(host: Host, argv: list[str]) -> None:
    done = host.agent(*argv)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_a_spool_that_cannot_be_made_is_exit_5(host: Host) -> None:
    host.spool.write_text("a file where the folder should be")
    done = host.agent("start", stdin=dumps(encode(host.order("true"))).encode())
    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr.count(b"\n") == 1


def test_a_full_disk_at_the_start_is_exit_5_and_can_be_tried_again(host: Host) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))

    order = host.order("true")
    done = host.agent("start", stdin=dumps(encode(order)).encode(), prepare=full)
    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr.count(b"\n") == 1
    assert not host.launch_folder(order).exists()
    assert host.run(order)[-1].data["exit"] == 0


def test_status_lists_all_launches(host: Host) -> None:
    first, second = host.order("true"), host.order("sleep", "600", launch=1)
    host.run(first)
    host.start(second)
    listed = json.loads(host.agent("status").stdout)["launches"]
    assert [(x["launch"], x["state"]) for x in listed] == [(0, ENDED), (1, RUNNING)]
    assert listed[0]["ended"]["exit"] == 0
    assert listed[1]["ended"] is None


def test_sweep_leaves_running_and_young_launches_alone(host: Host) -> None:
    done, running = host.order("true"), host.order("sleep", "600", launch=1)
    host.run(done)
    host.start(running)
    answer = json.loads(host.agent("sweep").stdout)
    assert answer == {"stopped": [], "orphans": [], "removed": []}
    answer = json.loads(host.agent("sweep", "--older-than", "0").stdout)
    assert answer["removed"] == ["run-1/job-0001@here/0"]
    assert host.status(running)["state"] == "running"


def test_sweep_live_ends_the_launches_of_one_run_only(host: Host) -> None:
    mine = host.order("sleep", "600")
    other = dataclasses.replace(mine, run="run-2")
    host.start(mine)
    host.start(other)
    answer = json.loads(host.agent("sweep", "--run", "run-1", "--live", "--older-than", "0").stdout)
    assert answer["stopped"] == answer["removed"] == ["run-1/job-0001@here/0"]
    assert not (host.spool / "runs" / "run-1").exists()
    assert host.status(other)["state"] == "running"


def test_sweep_ends_what_has_outlived_its_supervisor(host: Host) -> None:
    order = host.order("true")
    host.run(order)
    marked = {**os.environ, "ORCH_LAUNCH_DIR": str(host.launch_folder(order))}
    with (
        subprocess.Popen(["sleep", "600"], env=marked) as orphan,
        subprocess.Popen(["sleep", "600"]) as other,
    ):
        answer = json.loads(host.agent("sweep").stdout)
        assert answer["orphans"] == [orphan.pid]
        assert orphan.wait(10) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


def test_the_agent_survives_the_end_of_its_caller(host: Host) -> None:
    """As with a connection that breaks: the caller and its whole session are killed."""
    order = host.order("sleep", "1.5")
    host.started.append(order)
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.run({[*host.python, str(host.archive), 'start', '--spool', str(host.spool)]!r}, "
        f"input={dumps(encode(order)).encode()!r})\n"
        "time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline().startswith(b'{"started":true')
        os.killpg(caller.pid, signal.SIGKILL)
    assert host.finish(order)[-1].data["reason"] == "exited"
