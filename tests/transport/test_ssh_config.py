"""Where an address and an ssh_config lead."""

from __future__ import annotations

import contextlib
import getpass
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import Unreachable
from orchestrator.model.address import Address
from orchestrator.transport import open_link
from orchestrator.transport.ssh import SshLink
from orchestrator.transport.ssh_config import route


def write(home: Path, text: str) -> Path:
    path = home / ".ssh" / "config"
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_of_ssh_hold(home: Path) -> None:
    way = route(Address(name="numa1"))
    assert (way.host, way.port, way.user) == ("numa1", 22, getpass.getuser())
    assert home / ".ssh" / "id_ed25519" in way.keys
    assert way.use_agent


def test_the_file_says_what_the_address_leaves_open(home: Path) -> None:
    write(
        home,
        "Host numa*\n HostName 127.0.9.1\n Port 2222\n User bench\n IdentityFile ~/k\n HostKeyAlias rack\n",
    )
    way = route(Address(name="numa1"))
    assert (way.host, way.port, way.user, way.key_alias) == ("127.0.9.1", 2222, "bench", "rack")
    assert way.keys == [home / "k"]
    assert route(Address(name="other")).host == "other"


def test_the_address_is_stronger_than_the_file(home: Path) -> None:
    write(home, "Host *\n Port 2222\n User bench\n IdentityFile ~/k\n")
    way = route(Address(name="numa1", port=22, user="root", key=home / "mine", agent=False))
    assert (way.port, way.user, way.keys, way.use_agent) == (22, "root", [home / "mine"], False)


def test_identities_only_leaves_the_agent_out(home: Path) -> None:
    write(home, "Host *\n IdentityFile ~/k\n IdentitiesOnly yes\n")
    assert not route(Address(name="numa1")).use_agent


def test_match_exec_is_followed_by_many_at_once_though_what_runs_it_is_loaded_late(home: Path) -> None:
    write(home, "Match exec true\n Port 2222\nMatch exec false\n User nobody\n")
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from orchestrator.errors import LinkError
from orchestrator.model.address import Address
from orchestrator.transport import open_link

try:
    open_link(Address(name="h", host="127.0.0.1", port=1, config=Path("/dev/null")))
except LinkError as e:
    print(e.what)
print([m for m in sys.modules if m.startswith("invoke.")])
from orchestrator.transport.ssh_config import route
with ThreadPoolExecutor(8) as pool:
    ways = list(pool.map(lambda n: route(Address(name=f"n{n}")), range(8)))
print({(way.port, way.user == "nobody") for way in ways})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["nothing listens on 127.0.0.1 port 1", "[]", "{(2222, False)}"]


def test_a_file_named_by_the_address_is_the_one_that_counts(home: Path) -> None:
    write(home, "Host *\n Port 1\n")
    other = home / "other"
    other.write_text("Host *\n Port 2\n")
    assert route(Address(name="numa1", config=other)).port == 2
    with pytest.raises(Unreachable, match="cannot be read"):
        route(Address(name="numa1", config=home / "missing"))


def test_include_is_followed_and_ends_with_its_file(home: Path) -> None:
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "conf.d" / "a").write_text("Host numa1\n Port 2222\n")
    (home / ".ssh" / "conf.d" / "b").write_text("Host numa2\n Port 3333\n")
    write(home, "Include conf.d/*\nUser bench\n\nHost numa3\n Port 4444\n")
    assert [route(Address(name=f"numa{n}")).port for n in (1, 2, 3)] == [2222, 3333, 4444]
    # the line after the Include is for all hosts, not for the last one of the included file
    assert [route(Address(name=f"numa{n}")).user for n in (1, 2, 3)] == ["bench"] * 3


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Host *\n Include inner\n", "within `Host \\*`"),
        ("Include config\n", "circle"),
        ("Host *\n ProxyCommand nc %h %p\n", "ProxyCommand"),
        ("Host numa1\n ProxyJump numa1\n", "circle"),
        ("Host numa1\n ProxyJump a:b:c\n", "jump host"),
        ("Host *\n Port many\n", "cannot be followed"),
        ("nonsense\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_followed_is_said(home: Path, text: str, what: str) -> None:
    (home / ".ssh" / "inner").write_text("Host x\n Port 1\n")
    write(home, text)
    with pytest.raises(Unreachable, match=what):
        route(Address(name="numa1"))


def test_jump_hosts_come_in_order_each_with_its_own_settings(home: Path) -> None:
    write(home, "Host gate\n HostName 127.0.9.9\n User guard\nHost numa1\n ProxyJump gate,me@[::1]:2200\n")
    way = route(Address(name="numa1"))
    assert [(j.host, j.port, j.user) for j in way.jumps] == [("127.0.9.9", 22, "guard"), ("::1", 2200, "me")]
    assert [j.host for j in route(Address(name="numa1", jump="other")).jumps] == ["other"]
    assert route(Address(name="numa1", jump="none")).jumps == []


@pytest.mark.sshd
def test_a_host_is_reached_by_its_alias_through_a_jump_host(lab: Any, home: Path) -> None:
    h1, h2 = lab.lab.host("h1"), lab.lab.host("h2")
    key = lab.lab.path / "user"
    write(
        home,
        f"Host *\n User {lab.lab.user}\n IdentityFile {key}\n"
        f"Host gate\n HostName {h1.address}\n Port {h1.port}\n"
        f"Host inner\n HostName {h2.address}\n Port {h2.port}\n ProxyJump gate\n",
    )
    address = Address(name="inner", known_hosts=lab.lab.path / "known_hosts", agent=False)
    with contextlib.closing(open_link(address)) as link:
        assert link.run(["sh", "-c", "echo $ORCH_LAB_HOST"]).stdout == b"h2\n"
        assert isinstance(link, SshLink)
        assert link._session.socket.getpeername() == (h1.address, h1.port)
        assert link.run(["cat"], stdin=b"x" * 3_000_000).stdout == b"x" * 3_000_000


@pytest.mark.sshd
def test_a_jump_host_that_cannot_be_reached_is_said_to_be_one(lab: Any) -> None:
    with pytest.raises(Unreachable, match=r"nothing listens on the jump host 127\.0\.0\.1 port 1 "):
        open_link(lab.address("h2", jump="127.0.0.1:1"))


def test_a_jump_host_that_does_not_reach_the_host_is_said(lab: Any, home: Path) -> None:
    h1 = lab.lab.host("h1")
    jump = f"{lab.lab.user}@{h1.address}:{h1.port}"
    with pytest.raises(Unreachable, match="jump host does not reach"):
        open_link(lab.address("h2", port=1, jump=jump))
