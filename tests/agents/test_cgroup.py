"""What a launch starts is kept together: by a control group where the host has them, and said either way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents import cgroup
from agents.limits import before_exec, process
from tests.agents.conftest import Host, is_alive, wait_for


def fake_proc(folder: Path, mount: str, own: str = "0::/\n") -> Path:
    folder.mkdir()
    (folder / "mountinfo").write_text(mount)
    (folder / "cgroup").write_text(own)
    return folder


def test_a_host_without_groups_says_so(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", "26 1 0:24 / /sys rw - sysfs sysfs rw\n")
    with pytest.raises(cgroup.NoGroup, match="no control groups of version 2"):
        cgroup.make(tmp_path, None, proc)
    assert cgroup.of(tmp_path, proc) is None


def test_groups_that_are_not_ours_to_make_are_no_groups(tmp_path: Path) -> None:
    top = tmp_path / "file"
    top.write_text("")
    proc = fake_proc(tmp_path / "proc", f"30 1 0:26 / {top} ro - cgroup2 cgroup2 ro\n")
    with pytest.raises(cgroup.NoGroup, match="orch-agent: Not a directory"):
        cgroup.make(tmp_path, None, proc)


def test_where_the_top_is_closed_the_own_group_is_asked(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "user.slice/mine").mkdir(parents=True)
    (top / "orch-agent").write_text("in the way")
    proc = fake_proc(
        tmp_path / "proc", f"30 1 0:26 / {top} rw - cgroup2 cgroup2 rw\n", "0::/user.slice/mine\n"
    )
    made = cgroup.make(tmp_path, None, proc)
    assert made.path.parent == top / "user.slice/mine/orch-agent"
    assert cgroup.make(tmp_path, 1 << 20, proc).limited == "its groups have no say over memory"
    assert cgroup.of(tmp_path, proc) is not None
    made.remove()
    assert not (top / "user.slice/mine/orch-agent").exists()


def test_an_empty_group_that_nobody_removed_goes_when_it_is_old(tmp_path: Path) -> None:
    top = tmp_path / "top"
    old, new, full = (top / "orch-agent" / f"launch-{name}" for name in ("old", "new", "full"))
    for path in (old, new, full):
        path.mkdir(parents=True)
    (full / "below").mkdir()  # as one with processes is not removed
    for path in (old, full):
        os.utime(path, (0, 0))
    proc = fake_proc(tmp_path / "proc", f"30 1 0:26 / {top} rw - cgroup2 cgroup2 rw\n")
    made = cgroup.make(tmp_path, None, proc)
    assert {path.name for path in top.glob("orch-agent/launch-*")} == {new.name, full.name, made.path.name}


def real_group(folder: Path) -> cgroup.Group:
    try:
        return cgroup.make(folder, None)
    except cgroup.NoGroup as e:
        pytest.skip(f"this machine lets nobody here make a control group: {e}")


def test_all_of_a_group_is_killed_at_once_whoever_its_parent_is(tmp_path: Path) -> None:
    group = real_group(tmp_path)
    # its child lets go of it and of every terminal
    code = "import os, time\nif not os.fork():\n    os.setsid()\n    os.fork()\ntime.sleep(600)"
    enter = before_exec(0, os.sched_getaffinity(0), group.enter)
    child = subprocess.Popen([sys.executable, "-c", code], preexec_fn=enter)  # noqa: PLW1509 - it does what the agent does
    assert wait_for(lambda: len(group.pids()) == 3)
    assert group.holds(child.pid)
    pids = group.pids()
    group.kill()
    child.wait()
    assert wait_for(lambda: not any(map(is_alive, pids)))
    group.remove_soon()
    assert not group.path.exists()


def test_a_launch_says_how_it_is_held_and_leaves_no_group(host: Host) -> None:
    order = host.order("sh", "-c", "cat /proc/self/cgroup")
    entries = host.run(order)
    held = entries[0].data["held"]
    # removed as soon as the last word is written
    assert wait_for(lambda: cgroup.of(host.launch_folder(order)) is None)
    said = "\n".join(str(e.data.get("text")) for e in entries if e.kind == "output")
    if held.startswith("as a control group"):
        assert "/orch-agent/launch-" in said
    else:
        assert held.startswith("as a tree of processes (")
        assert "orch-agent" not in said


def test_what_a_killed_supervisor_leaves_in_its_group_is_ended(host: Host) -> None:
    order = host.order("sh", "-c", "sleep 600 & sleep 600")
    host.start(order)
    group = cgroup.of(host.launch_folder(order))
    if group is None:
        pytest.skip("no control group here: " + host.journal(order).decode()[:400])
    assert wait_for(lambda: len(group.pids()) >= 2)
    pids = group.pids()
    os.kill(host.supervisor(order), signal.SIGKILL)
    assert wait_for(lambda: not any(map(is_alive, pids)))
    assert wait_for(lambda: not group.path.exists())


def test_sweep_finds_by_the_group_what_bears_no_mark(host: Host) -> None:
    """Guard and supervisor are killed at once, and what is left has let go of parent, terminal and environment."""
    order = host.order("sh", "-c", "env -i setsid sleep 600 & sleep 600")
    host.start(order)
    group = cgroup.of(host.launch_folder(order))
    if group is None:
        pytest.skip("no control group here: " + host.journal(order).decode()[:400])
    assert wait_for(lambda: len(group.pids()) >= 3)
    pids = group.pids()
    supervisor = process(host.supervisor(order))
    assert supervisor is not None
    os.kill(supervisor.parent, signal.SIGKILL)
    os.kill(supervisor.pid, signal.SIGKILL)
    assert wait_for(lambda: not is_alive(supervisor.pid))
    done = host.agent("sweep")
    assert done.returncode == 0, done.stderr
    assert wait_for(lambda: not any(map(is_alive, pids)))
    assert wait_for(lambda: not group.path.exists())
