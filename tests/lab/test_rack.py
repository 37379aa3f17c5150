"""A rack: hosts in namespaces, reached from inside only, and nothing of it outside or afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli.lab import app
from orchestrator.errors import InputError, SetupError
from orchestrator.lab import labs, life, rack, sshd

pytestmark = pytest.mark.sshd

ORCH = [sys.executable, "-m", "orchestrator.cli.app"]


def orch(*words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix, *ORCH, *words], capture_output=True, text=True, timeout=120, check=False)


def outside() -> tuple[str, int]:
    """What a lab may not change of this machine: mounts of this process, and its network cards."""
    mounts = Path("/proc/self/mountinfo").read_text()
    return mounts, len(socket.if_nameindex())


def of_the_lab(path: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{labs.MARK}={path}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def nothing_left(path: Path) -> bool:
    deadline = time.monotonic() + 20
    while of_the_lab(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not of_the_lab(path)


def on(name: str, host: str, script: str) -> str:
    lab = labs.load(name)
    command = [*rack.on_host(lab, lab.host(host)), "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    refused = rack.why_not()
    if refused:
        pytest.skip(refused)
    path = tmp_path_factory.mktemp("racks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCH_STATE", str(path))
        yield path
        for name in labs.names():
            life.down(name)
        assert nothing_left(path)


@pytest.fixture(scope="module")
def demo(state: Path) -> str:
    before = outside()
    done = orch("lab", "up", "demo", "--hosts", "2", "--disk", "64MiB", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "rack"
    assert outside() == before
    return "demo"


def test_a_command_over_the_inventory_goes_into_the_lab_by_itself(demo: str) -> None:
    done = orch("hosts", "ping", "-i", "lab:demo", "--json")
    assert done.returncode == 0, done.stderr
    shown = orch("hosts", "facts", "-i", str(labs.load("demo").inventory), "--json")
    assert shown.returncode == 0, shown.stderr


def test_from_outside_its_addresses_are_not_dialled(demo: str, tmp_path: Path) -> None:
    # a program that prints an inventory is not looked into, so this one stays outside
    fleet = tmp_path / "fleet"
    fleet.write_text(f"#!/bin/sh\ncat {labs.load('demo').inventory}\n")
    fleet.chmod(0o755)
    done = orch("hosts", "ping", "-i", str(fleet))
    assert done.returncode == 3
    assert "in the network of lab demo only" in done.stdout + done.stderr
    inside = orch("lab", "exec", "demo", "controller", "--", *ORCH, "hosts", "ping", "-i", str(fleet))
    assert inside.returncode == 0, inside.stdout + inside.stderr


def test_each_host_is_a_machine_of_its_own(demo: str) -> None:
    assert [on(demo, h, "hostname; cat /etc/hostname") for h in ("h1", "h2")] == ["h1\nh1", "h2\nh2"]
    places = [
        f"{folder}/of-h1-{os.getpid()}"
        for folder in ("/tmp", "/root", "/dev/shm", "/usr", "/etc", "/var/tmp")
    ]
    on(demo, "h1", f"touch {' '.join(places)}")
    assert on(demo, "h2", f"ls {' '.join(places)} 2>/dev/null || true") == ""
    assert not any(Path(place).exists() for place in places)
    assert on(demo, "h1", "df -k --output=size / | tail -n 1") == str(64 * 1024)
    assert on(demo, "h1", "ps -e -o comm= | grep -c sshd") == "1"
    keys = {(labs.load(demo).path / h / "host_key.pub").read_text() for h in ("h1", "h2")}
    assert len(keys) == 2


def test_the_exit_code_of_a_command_on_a_host_is_ours(demo: str) -> None:
    assert orch("lab", "exec", demo, "h1", "--", "sh", "-c", "exit 7").returncode == 7
    refused = orch("lab", "exec", demo, "h9", "--", "true")
    assert (refused.returncode, "no host h9" in refused.stderr) == (2, True)


def test_a_second_lab_of_the_same_name_is_refused(demo: str) -> None:
    with pytest.raises(InputError, match="demo is up already") as refused:
        rack.up("demo", 1)
    assert refused.value.hint == "orch lab down demo"
    assert all(host.alive for host in labs.load(demo).hosts)


def test_a_killed_host_is_dead_to_the_others_and_comes_back_with_its_disk(demo: str) -> None:
    on(
        demo,
        "h2",
        "echo kept > /root/kept; echo lost > /tmp/lost; setsid sleep 1000 </dev/null >/dev/null 2>&1 &",
    )
    life.kill(demo, "h2")
    assert CliRunner().invoke(app, ["status", demo]).exit_code == 3
    assert orch("hosts", "ping", "-i", "lab:demo", "--json").returncode == 3
    with pytest.raises(InputError, match="h2 is dead"):
        rack.on_host(labs.load(demo), labs.load(demo).host("h2"))
    life.revive(demo, "h2")
    assert orch("hosts", "ping", "-i", "lab:demo").returncode == 0
    assert (
        on(demo, "h2", "cat /root/kept; find /tmp -xdev ! -type d; ps -e -o comm= | grep -c sleep || true")
        == "kept\n0"
    )


def test_two_racks_have_the_same_addresses_and_do_not_meet(demo: str) -> None:
    rack.up("other", 1)
    on("other", "h1", "echo other > /root/who")
    on("demo", "h1", "echo demo > /root/who")
    for name in ("demo", "other"):
        done = orch("hosts", "ping", "-i", f"lab:{name}", "--limit", "h1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert on(name, "h1", "cat /root/who") == name
    life.down("other")


def test_ending_the_first_process_of_a_rack_ends_all(state: Path) -> None:
    before = outside()
    lab = rack.up("short", 2)
    assert lab.rack is not None
    os.kill(lab.rack.pid, signal.SIGKILL)
    assert nothing_left(lab.path)
    with pytest.raises(InputError, match="is down"):
        rack.at_controller(lab)
    address = yaml.safe_load(lab.inventory.read_text())["hosts"]["h1"]
    assert address["lab"] == "short"
    assert orch("hosts", "ping", "-i", "lab:short").returncode == 2
    life.down("short")
    assert outside() == before


def test_a_killed_up_leaves_nothing(state: Path) -> None:
    path = state / "labs" / "half"
    with subprocess.Popen([*ORCH, "lab", "up", "half", "--hosts", "8"], stdout=subprocess.PIPE) as making:
        deadline = time.monotonic() + 60
        while not list(path.glob("h*/sshd.log")) and making.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        making.kill()
    with pytest.raises(InputError, match="no lab half"):
        life.down("half")
    assert nothing_left(path)
    assert not path.exists()


def test_a_rack_that_does_not_come_up_leaves_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sshd, "config", lambda *_: "Port none\n")
    with pytest.raises(SetupError, match=r"h1 does not start: .*Badly formatted port"):
        rack.up("broken", 1)
    assert not (state / "labs" / "broken").exists()
    assert nothing_left(state / "labs" / "broken")


@pytest.fixture
def mine() -> Iterator[Path]:
    """A folder that every user may go to."""
    path = Path(tempfile.mkdtemp(prefix="orch-mine-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def another_user(uid: int, gid: int) -> list[str]:
    """What runs a command as a user who owns nothing here; where such a one cannot read this tree, as one to whom the kernel gives no
    right over this machine, though he owns what root owns."""
    real = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
    probe = subprocess.run([*real, *ORCH, "lab", "--help"], capture_output=True, check=False, cwd="/")
    return real if probe.returncode == 0 else ["unshare", "--user", f"--map-user={uid}", f"--map-group={gid}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="whoever is not root runs the other tests without root")
def test_without_root_it_is_the_same(mine: Path) -> None:
    user = another_user(5, 60)
    probe = subprocess.run([*user, "unshare", "--user", "--map-root-user", "true"], check=False)
    if probe.returncode != 0:
        pytest.skip("this machine lets no user make namespaces")
    if user[0] == "setpriv":
        os.chown(mine, 5, 60)
    script = """
    orch() { "$@" || echo "exit $?"; }
    orch $ORCH lab up mine --hosts 2
    orch $ORCH hosts ping -i lab:mine --json
    orch $ORCH lab exec mine controller -- id -u
    orch $ORCH lab exec mine h1 -- sh -c 'hostname; touch /usr/mine /root/mine'
    orch $ORCH lab fault mine kill h1
    orch $ORCH lab fault mine revive h1
    orch $ORCH lab down mine
    """
    environment = {**os.environ, "HOME": str(mine), "ORCH": " ".join(ORCH)}
    environment |= {"ORCH_STATE": str(mine / "state"), "TMPDIR": str(mine)}
    done = subprocess.run(
        [*user, "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment,
        cwd="/",
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "lab mine: 2 host(s) on 10.77.0.11 … 10.77.0.12, inventory -i lab:mine", done
    assert [host["ok"] for host in json.loads(lines[1])["hosts"]] == [True, True]
    assert lines[2:] == ["5", "h1", "h1 is dead", "h1 is alive", "lab mine is down"]
    assert nothing_left(mine / "state" / "labs" / "mine")


def test_what_cannot_be_had_is_said_with_what_can(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rack, "path", lambda: "/nowhere")
    with pytest.raises(SetupError, match="ip is not installed") as refused:
        rack.up("none", 1)
    assert refused.value.exit_code == 2
    assert "--loopback" in refused.value.hint


def test_odd_wishes_are_refused(state: Path) -> None:
    cli = CliRunner()
    for words in (
        ["--hosts", "251"],
        ["--hosts", "2", "--loopback", "2"],
        ["--hosts", "1", "--disk", "much"],
    ):
        refused = cli.invoke(app, ["up", "odd", *words])
        assert isinstance(refused.exception, InputError), words
    assert "odd" not in labs.names()
