"""Showing host keys without a login, and recording them."""

from __future__ import annotations

import contextlib
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import HostKeyChanged, HostKeyUnknown, Unreachable
from orchestrator.fleet.trust import record, refusal, shown_keys
from orchestrator.model.address import Address
from orchestrator.transport import known_hosts, open_link

pytestmark = pytest.mark.sshd


def test_a_new_key_is_shown_recorded_and_then_lets_us_in(lab: Any, tmp_path: Path) -> None:
    address = lab.address("h1", known_hosts=tmp_path / "below" / "known_hosts")
    with pytest.raises(HostKeyUnknown):
        open_link(address)
    (key,) = shown_keys(address)
    public = lab.lab.path / "h1" / "host_key.pub"
    told = subprocess.run(["ssh-keygen", "-l", "-f", public], check=True, capture_output=True, text=True)
    assert (key.type, key.state, key.fingerprint) == ("ssh-ed25519", "new", told.stdout.split()[1])
    assert refusal([key]) is None
    path = record(address, [key])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    open_link(address).close()
    assert [k.state for k in shown_keys(address)] == ["known"]


def test_showing_needs_no_login(lab: Any, tmp_path: Path) -> None:
    address = lab.address("h1", user="nobody-at-all", key=tmp_path / "none", known_hosts=tmp_path / "none")
    assert len(shown_keys(address)) == 1


def test_recording_twice_adds_nothing_and_keeps_what_is_there(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("# mine, without a newline at its end")
    address = lab.address("h1", known_hosts=path)
    record(address, shown_keys(address))
    once = path.read_text()
    record(address, shown_keys(address))
    assert path.read_text() == once
    assert once.startswith("# mine, without a newline at its end\n[127.0.1.1]:")


def test_without_a_file_of_its_own_the_host_goes_into_ours(lab: Any, home: Path) -> None:
    address = lab.address("h1", known_hosts=None)
    try:
        assert record(address, shown_keys(address)) == known_hosts.own_file()
        with contextlib.closing(open_link(address)) as link:
            assert link.host == "h1"
    finally:
        known_hosts.own_file().unlink()
    assert not (home / ".ssh" / "known_hosts").exists()


def test_a_changed_key_is_never_recorded(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    h1, h2 = lab.lab.host("h1"), lab.lab.host("h2")
    theirs = (lab.lab.path / "h2" / "host_key.pub").read_text()
    path.write_text(f"[{h1.address}]:{h1.port} {theirs}")
    before = path.read_text()
    address = lab.address("h1", known_hosts=path)
    keys = shown_keys(address)
    assert [key.state for key in keys] == ["changed"]
    assert isinstance(refusal(keys), HostKeyChanged)
    record(address, keys)
    assert path.read_text() == before
    assert h2.address not in before


def test_a_revoked_key_is_refused(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    address = lab.address("h1", known_hosts=path)
    record(address, shown_keys(address))
    path.write_text("@revoked " + path.read_text())
    keys = shown_keys(address)
    assert [key.state for key in keys] == ["revoked"]
    assert isinstance(refusal(keys), HostKeyChanged)


def test_a_key_is_shown_through_a_jump_host_that_is_trusted(lab: Any, tmp_path: Path) -> None:
    h1 = lab.lab.host("h1")
    inner = lab.address("h2", jump=f"{lab.lab.user}@{h1.address}:{h1.port}")
    assert [key.state for key in shown_keys(inner)] == ["known"]
    with pytest.raises(HostKeyUnknown):
        shown_keys(replace(inner, known_hosts=tmp_path / "none"))


def test_a_dead_host_is_unreachable_and_this_machine_has_no_keys(lab: Any) -> None:
    with pytest.raises(Unreachable):
        shown_keys(lab.address("h1", port=1))
    assert shown_keys(Address(name="here", local=True)) == []
