"""What happens to hosts can be made to happen, and undone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.lab import app
from orchestrator.errors import InputError
from orchestrator.lab import faults, labs, life, loopback, processes, rack
from orchestrator.lab.faults import Severity, befall
from orchestrator.lab.wire import QUEUE_S, Direction

#: dials ADDRESS, says "connected", waits for a greeting and says how long all took
CALL = """
import socket, sys, time
before = time.monotonic()
with socket.create_connection((sys.argv[1], 22), float(sys.argv[2])) as s:
    print("connected", flush=True)
    s.settimeout(float(sys.argv[3]))
    print(s.recv(4).decode(), time.monotonic() - before, flush=True)
"""


def test_a_frame_leaves_after_the_delay() -> None:
    assert Direction(0.05, 0.0, 0.0).leaves_at(1500, 10.0, 0.5) == pytest.approx(10.05)


def test_a_share_of_the_frames_is_lost() -> None:
    way = Direction(0.0, 0.1, 0.0)
    assert [way.leaves_at(1, 1.0, chance) is None for chance in (0.0, 0.099, 0.1, 0.9)] == [
        True,
        True,
        False,
        False,
    ]


def test_frames_of_a_slow_cable_wait_for_each_other_and_not_for_long() -> None:
    way = Direction(0.0, 0.0, 1000.0)
    assert [way.leaves_at(100, 5.0, 0.5) for _ in range(3)] == pytest.approx([5.1, 5.2, 5.3])
    assert way.leaves_at(400, 5.0, 0.5) == pytest.approx(5.7)
    assert way.leaves_at(1, 5.0, 0.5) is None
    assert way.leaves_at(100, 5.7 - QUEUE_S, 0.5) == pytest.approx(5.8)
    assert way.leaves_at(100, 9.0, 0.5) == pytest.approx(9.1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    refused = rack.why_not()
    if refused:
        pytest.skip(refused)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCH_STATE", str(tmp_path_factory.mktemp("faults")))
        rack.up("demo", 1, 16 * 2**20)
        yield "demo"
        life.down("demo")


@pytest.fixture(autouse=True)
def _well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "demo" in request.fixturenames:
        if not labs.load("demo").host("h1").alive:
            befall("demo", "revive", "h1")
        befall("demo", "thaw", "h1")
        assert befall("demo", "heal", "h1").host("h1").faults == {}


def call(name: str, dial_s: float = 60.0, greet_s: float = 60.0) -> list[str]:
    lab = labs.load(name)
    argv = [*rack.at_controller(lab), sys.executable, "-IS", "-c", CALL]
    argv += [lab.host("h1").address, str(dial_s), str(greet_s)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    return done.stdout.split()


def on_host(name: str, script: str) -> subprocess.CompletedProcess[str]:
    lab = labs.load(name)
    argv = [*rack.on_host(lab, lab.host("h1")), "sh", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_a_cut_host_lives_and_cannot_be_reached_until_it_is_healed(demo: str) -> None:
    befall(demo, "cut", "h1")
    assert call(demo, dial_s=1.0) == []
    assert on_host(demo, "echo here").stdout == "here\n"
    befall(demo, "heal", "h1")
    assert call(demo)[:2] == ["connected", "SSH-"]


def test_a_frozen_host_is_connected_to_and_says_nothing_until_it_is_thawed(demo: str) -> None:
    assert labs.load(demo).host("h1").faults == {}
    befall(demo, "freeze", "h1")
    assert call(demo, greet_s=1.0) == ["connected"]
    assert labs.load(demo).host("h1").alive
    befall(demo, "thaw", "h1")
    assert call(demo)[:2] == ["connected", "SSH-"]


def test_a_frozen_host_can_be_killed(demo: str) -> None:
    befall(demo, "freeze", "h1")
    assert not befall(demo, "kill", "h1").host("h1").alive
    assert befall(demo, "revive", "h1").host("h1").faults == {}


def test_nothing_fits_on_a_full_disk_and_what_was_on_it_stays(demo: str) -> None:
    assert on_host(demo, "echo kept > /root/kept").returncode == 0
    befall(demo, "disk-full", "h1")
    assert on_host(demo, "head -c 100000 /dev/zero > /root/more").returncode != 0
    assert on_host(demo, "head -c 100000 /dev/zero > /usr/more").returncode != 0
    assert on_host(demo, "cat /root/kept").stdout == "kept\n"
    befall(demo, "kill", "h1")
    assert "disk-full" in befall(demo, "revive", "h1").host("h1").faults
    befall(demo, "heal", "h1")
    assert on_host(demo, "head -c 100000 /dev/zero > /root/more").returncode == 0
    assert on_host(demo, "head -c 17000000 /dev/zero > /root/more").returncode != 0


def test_a_delayed_cable_takes_its_time_both_ways(demo: str) -> None:
    befall(demo, "delayed", "h1", Severity(delay_s=0.2))
    said = call(demo)
    assert said[:2] == ["connected", "SSH-"]
    assert float(said[2]) >= 0.6  # there and back for the connection, and back for the greeting


def test_a_cable_that_loses_everything_lets_nothing_through_and_two_faults_go_together(demo: str) -> None:
    befall(demo, "delayed", "h1", Severity(delay_s=0.001))
    both = befall(demo, "lossy", "h1", Severity(loss_percent=100.0)).host("h1")
    assert both.faults == {"delayed": 0.001, "lossy": 100.0}
    assert call(demo, dial_s=1.0) == []
    befall(demo, "lossy", "h1", Severity(loss_percent=0.0))
    assert call(demo)[:2] == ["connected", "SSH-"]


def test_large_frames_go_through_a_slow_cable_whole(demo: str) -> None:
    """Frames that the kernel has not cut up yet, with checksums that are not there yet."""
    befall(demo, "slow", "h1", Severity(bytes_per_s=2e6))
    lab = labs.load(demo)
    serve = "import socket; s = socket.create_server(('', 99)); print('up', flush=True); c = s.accept()[0]\n"
    serve += "n = 0\nwhile p := c.recv(1 << 16): n += len(p)\nprint(n)"
    send = f"import socket; c = socket.create_connection(('{lab.host('h1').address}', 99)); c.sendall(bytes(1000000))"
    python = [sys.executable, "-IS", "-c"]
    there = [*rack.on_host(lab, lab.host("h1")), *python, serve]
    with subprocess.Popen(there, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == "up\n"
        before = time.monotonic()
        subprocess.run([*rack.at_controller(lab), *python, send], check=True, timeout=120)
        assert serving.stdout.readline() == "1000000\n"
        assert time.monotonic() - before >= 0.4  # half a megabyte was under way at the most


def test_what_spoils_a_cable_ends_with_the_host(demo: str) -> None:
    relay = befall(demo, "lossy", "h1").host("h1").relay
    assert relay is not None
    befall(demo, "kill", "h1")
    assert not processes.alive(relay)
    befall(demo, "revive", "h1")
    assert call(demo)[:2] == ["connected", "SSH-"]


def test_what_cannot_befall_a_host_is_said(
    demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no fault melt"):
        befall(demo, "melt", "h1")
    cli = CliRunner()
    for words in (["--rate", "0B"], ["--rate", "fast"], ["--delay", "50"], ["--percent", "101"]):
        assert cli.invoke(app, ["fault", demo, "slow", "h1", *words]).exit_code != 0
    befall(demo, "kill", "h1")
    for what in ("cut", "freeze", "thaw", "slow"):
        with pytest.raises(InputError, match="h1 is dead"):
            befall(demo, what, "h1")
    monkeypatch.setenv("ORCH_STATE", str(tmp_path))
    loopback.up("loop", 1)
    for what in ("cut", "heal", "disk-full", "slow", "lossy", "delayed"):
        with pytest.raises(InputError, match="no cable and no disk"):
            befall("loop", what, "h1")
    for what in ("oops", "lockup"):
        with pytest.raises(InputError, match="share this machine's kernel"):
            befall("loop", what, "h1")
    befall("loop", "freeze", "h1")
    befall("loop", "thaw", "h1")
    life.down("loop")
    monkeypatch.undo()


def test_every_fault_says_what_it_does() -> None:
    assert all((change.__doc__ or "").strip() for change in faults.FAULTS.values())
