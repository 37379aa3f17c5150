"""A lab comes up whole, dies as machines die, and leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli.lab import app
from orchestrator.errors import InputError, SetupError
from orchestrator.lab import inventory_path, lab_inventory, loopback, processes
from orchestrator.model.address import Address
from orchestrator.transport import open_link

pytestmark = pytest.mark.sshd


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """State of its own; whatever a test leaves in it is ended."""
    monkeypatch.setenv("ORCH_STATE", str(tmp_path / "state"))
    yield tmp_path / "state"
    for name in loopback.names():
        loopback.down(name)
    processes.end_marked(f"{loopback.MARK}={tmp_path}")


@pytest.fixture(params=["isolated", "plain"])
def both_ways(request: pytest.FixtureRequest, state: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """With namespaces, and as on a machine that lets nobody make them."""
    kind: str = request.param
    if kind == "plain":
        monkeypatch.setattr(loopback, "_isolation", list)
    return kind


def dial(lab: loopback.Lab, name: str) -> Any:
    host = lab.host(name)
    address = Address(
        name=name,
        host=host.address,
        port=host.port,
        user=lab.user,
        key=lab.path / "user",
        agent=False,
        known_hosts=lab.path / "known_hosts",
    )
    return contextlib.closing(open_link(address))


def gone(*pids: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if all(processes.identify(pid) is None for pid in pids):
            return True
        time.sleep(0.02)
    return False


def marked(path: Path) -> list[int]:
    """Processes with the lab's mark: what is left of it on this machine, seen from outside."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (
                entry.name.isdigit()
                and f"{loopback.MARK}={path}".encode() in (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
    return found


def detach(link: Any) -> None:
    """Leave a process behind as a supervisor of the agent is: in a session of its own, its parent gone."""
    done = link.run(["sh", "-c", "setsid sleep 1000 </dev/null >/dev/null 2>&1 &"])
    assert done.exit == 0


def test_every_host_answers_under_its_own_key_and_everything_goes(both_ways: str) -> None:
    lab = loopback.up("demo", 3)
    assert lab.isolated == (both_ways == "isolated")
    keys = {(lab.path / h.name / "host_key.pub").read_text().split()[1] for h in lab.hosts}
    assert len(keys) == 3
    assert [h.address for h in lab.hosts] == ["127.0.1.1", "127.0.1.2", "127.0.1.3"]
    for host in lab.hosts:
        with dial(lab, host.name) as link:
            assert link.run(["sh", "-c", "echo $ORCH_LAB_HOST"]).stdout.decode() == f"{host.name}\n"
            detach(link)
    assert len(marked(lab.path)) >= 3
    pids = [p.pid for h in lab.hosts for p in (h.sshd, h.outer) if p is not None]
    loopback.down("demo")
    assert gone(*pids)
    assert marked(lab.path) == []
    assert not lab.path.exists()


def test_a_killed_host_dies_with_all_that_runs_on_it_and_the_others_live(both_ways: str) -> None:
    lab = loopback.up("demo", 2)
    with dial(lab, "h1") as link:
        detach(link)
        assert marked(lab.path / "h1")
        loopback.kill("demo", "h1")
        assert not loopback.load("demo").host("h1").alive
        leftovers = marked(lab.path / "h1")
        assert leftovers == [] or gone(*leftovers)
    with dial(lab, "h2") as link:
        assert link.run(["true"]).exit == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces without root are not everywhere")
def test_killing_the_pid_that_status_shows_ends_all_of_the_host(state: Path) -> None:
    lab = loopback.up("demo", 1)
    with dial(lab, "h1") as link:
        detach(link)
        shown = json.loads(CliRunner().invoke(app, ["status", "demo", "--json"]).stdout)
        before = marked(lab.path)
        assert len(before) >= 2
        os.kill(shown["hosts"][0]["pid"], 9)
        assert gone(*before)


def test_a_revived_host_is_the_same_host(state: Path) -> None:
    lab = loopback.up("demo", 2)
    (lab.path / "h1" / "spool" / "kept").write_text("x")
    loopback.kill("demo", "h1")
    again = loopback.revive("demo", "h1")
    assert (again.host("h1").address, again.host("h1").port) == (lab.host("h1").address, lab.host("h1").port)
    assert again.host("h2") == lab.host("h2")
    with dial(lab, "h1") as link:
        assert link.run(["cat", str(lab.path / "h1" / "spool" / "kept")]).stdout == b"x"
    with pytest.raises(InputError, match="alive"):
        loopback.revive("demo", "h1")


def test_a_name_in_use_is_refused_and_the_lab_lives_on(state: Path) -> None:
    lab = loopback.up("demo", 1)
    with pytest.raises(InputError, match="up already") as caught:
        loopback.up("demo", 2)
    assert caught.value.exit_code == 2
    with dial(lab, "h1") as link:
        assert link.run(["true"]).exit == 0


def test_two_labs_stand_side_by_side(state: Path) -> None:
    one, two = loopback.up("one", 1), loopback.up("two", 1)
    loopback.down("one")
    with dial(two, "h1") as link:
        assert link.run(["true"]).exit == 0
    assert not one.path.exists()


@pytest.mark.parametrize("damage", ["", "{", '{"hosts": 1}', None])
def test_what_a_crash_has_left_makes_way(state: Path, damage: str | None) -> None:
    lab = loopback.up("demo", 2)
    if damage is None:  # the machine was restarted: state, and no process
        loopback.kill("demo", "h1")
        loopback.kill("demo", "h2")
    else:
        (lab.path / "lab.json").write_text(damage)
    again = loopback.up("demo", 1)
    with dial(again, "h1") as link:
        assert link.run(["true"]).exit == 0
    assert len(marked(again.path)) >= 1
    loopback.down("demo")
    assert marked(again.path) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_up_leaves_nothing(state: Path, number: signal.Signals) -> None:
    path = state / "labs" / "half"
    argv = [sys.executable, "-m", "orchestrator.cli.app", "lab", "up", "half", "--loopback", "60"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as making:
        deadline = time.monotonic() + 60
        while not list(path.glob("h*/sshd.log")) and making.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        making.send_signal(number)
    assert making.returncode == -number
    # whoever comes next waits for the end of the half, and finds nothing
    with pytest.raises(InputError, match="no lab half"):
        loopback.down("half")
    assert marked(path) == []
    assert not path.exists()


def test_a_lab_is_the_same_whatever_way_leads_to_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state.parent / "other").mkdir()
    monkeypatch.setenv("ORCH_STATE", str(state.parent / "other" / ".." / "state"))
    lab = loopback.up("demo", 1)
    monkeypatch.setenv("ORCH_STATE", str(state))
    (lab.path / "lab.json").unlink()
    loopback.down("demo")
    assert marked(lab.path) == []


def test_down_ends_what_a_damaged_lab_has_left(state: Path) -> None:
    lab = loopback.up("demo", 2)
    pids = [p.pid for h in lab.hosts for p in (h.sshd, h.outer) if p is not None]
    (lab.path / "lab.json").unlink()
    assert loopback.down("demo") != []
    assert gone(*pids)
    assert not lab.path.exists()


def test_a_number_that_was_given_to_another_process_is_not_hit(state: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        try:
            known = processes.identify(bystander.pid)
            assert known is not None
            processes.end(processes.Process(known.pid, known.started - 1))
            assert processes.alive(known)
            processes.end(known)
            assert not processes.alive(known)
        finally:
            bystander.kill()


def test_state_is_for_its_owner_only(state: Path) -> None:
    lab = loopback.up("demo", 1)
    assert stat.S_IMODE(lab.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((lab.path / "user").stat().st_mode) == 0o600


def test_a_lab_that_does_not_come_up_leaves_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "_free_ports", lambda addresses: dict.fromkeys(addresses, 99999))
    with pytest.raises(SetupError, match=r"does not start: .*Badly formatted port"):
        loopback.up("demo", 2)
    assert loopback.names() == []
    assert marked(state) == []


def test_a_machine_without_sshd_is_told_what_to_install(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.lab.sshd.shutil.which", lambda *_, **__: None)
    with pytest.raises(SetupError) as caught:
        loopback.up("demo", 1)
    assert caught.value.hint.endswith("apt-get install -y openssh-server")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("name", "count"), [("../x", 1), ("", 1), ("A b", 1), ("x", 0), ("x", 255)])
def test_odd_names_and_counts_are_refused(state: Path, name: str, count: int) -> None:
    with pytest.raises(InputError):
        loopback.up(name, count)
    assert not (state / "labs" / "x").exists()


def test_the_inventory_says_how_to_reach_every_host(state: Path) -> None:
    lab = loopback.up("demo", 2)
    hosts = yaml.safe_load(lab_inventory("demo").read_text())["hosts"]
    assert list(hosts) == ["h1", "h2"]
    for name, host in hosts.items():
        assert (host["lab"], host["emulated"]) == ("demo", True)
        assert host["ssh"]["port"] == lab.host(name).port
        assert Path(host["ssh"]["key"]).exists()
        assert Path(host["ssh"]["known_hosts"]).exists()
        assert Path(host["spool"]).is_dir()
    assert len({host["spool"] for host in hosts.values()}) == 2


def test_the_option_for_an_inventory_means_a_lab_or_a_path(state: Path) -> None:
    lab = loopback.up("demo", 1)
    assert inventory_path("lab:demo") == lab.inventory
    assert inventory_path("fleet.yml") == Path("fleet.yml")
    assert inventory_path(None) is None
    with pytest.raises(InputError, match="no lab other") as caught:
        inventory_path("lab:other")
    assert "demo" in caught.value.hint


def test_the_command_line_tells_a_dead_host_by_its_exit_code(state: Path) -> None:
    cli = CliRunner()
    assert cli.invoke(app, ["up", "demo", "--loopback", "2"]).exit_code == 0
    told = cli.invoke(app, ["status", "demo"])
    assert told.exit_code == 0
    assert [line.split("\t")[0] for line in told.stdout.splitlines()] == ["h1", "h2"]
    assert cli.invoke(app, ["fault", "demo", "kill", "h2"]).stdout == "h2 is dead\n"
    told = cli.invoke(app, ["status", "demo", "--json"])
    assert told.exit_code == 3
    assert [h["alive"] for h in json.loads(told.stdout)["hosts"]] == [True, False]
    assert cli.invoke(app, ["fault", "demo", "revive", "h2"]).stdout == "h2 is alive\n"
    assert isinstance(cli.invoke(app, ["fault", "demo", "melt", "h2"]).exception, InputError)
    assert isinstance(cli.invoke(app, ["fault", "demo", "kill", "h9"]).exception, InputError)
    assert cli.invoke(app, ["status"]).stdout == "demo\n"
    assert cli.invoke(app, ["down", "demo"]).exit_code == 0
    assert isinstance(cli.invoke(app, ["down", "demo"]).exception, InputError)
