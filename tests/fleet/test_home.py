"""A folder of an embedded Ray goes with it, or, where all of its processes were killed, when the next one is made."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.fleet import home

_MAKE = """
import pathlib, sys, time
from orchestrator.fleet import home
home._PARENT = pathlib.Path(sys.argv[1])
made = home.make_home()
(made / "token").write_text("secret")
print(made, flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(home, "_PARENT", tmp_path)
    return tmp_path


def test_what_is_left_of_a_killed_one_goes_and_whoever_lives_stays(parent: Path) -> None:
    argv = [sys.executable, "-c", _MAKE, str(parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        mine = home.make_home()
        assert (theirs / "token").is_file()
        other.send_signal(signal.SIGKILL)
        other.wait()
    second = home.make_home()
    assert sorted(parent.iterdir()) == sorted([mine, second])
    for one in (mine, second):
        home.remove_home(one)
    home.remove_home(mine)
    assert not list(parent.iterdir())


def test_who_moves_in_keeps_it_when_its_maker_has_gone(parent: Path) -> None:
    argv = [sys.executable, "-c", _MAKE, str(parent)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        shared = Path(maker.stdout.readline().strip())
        home.hold(shared)
        maker.kill()
    other = home.make_home()
    assert shared.is_dir()
    home.remove_home(shared)
    home.remove_home(other)


def test_a_folder_of_a_node_that_others_started_is_none_of_ours(parent: Path) -> None:
    (parent / "orch-ray-node").mkdir()
    (parent / "orch-ray-link").symlink_to(parent / "orch-ray-node")
    made = home.make_home()
    assert (parent / "orch-ray-node").is_dir()
    home.remove_home(made)
