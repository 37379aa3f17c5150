"""Which lines of known_hosts are about a host."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from orchestrator.transport import known_hosts

KEY = base64.b64encode(b"a key").decode()


def found(tmp_path: Path, text: str, host: str) -> list[known_hosts.KnownKey]:
    path = tmp_path / "known_hosts"
    path.write_text(text)
    return known_hosts.lookup([tmp_path / "missing", path], host)


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ("numa1", "numa1"),
        ("numa1,10.0.0.1", "10.0.0.1"),
        ("NUMA1", "numa1"),
        ("numa*", "numa17"),
        ("numa?", "numa1"),
        ("[numa1]:2222", "[numa1]:2222"),
        ("*,!gate", "numa1"),
    ],
)
def test_names_and_patterns_find_their_host(tmp_path: Path, names: str, host: str) -> None:
    (key,) = found(tmp_path, f"# a comment\n\n{names} ssh-ed25519 {KEY} somebody\n", host)
    assert (key.type, key.blob, key.line, key.revoked) == ("ssh-ed25519", b"a key", 3, False)


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (f"numa1 ssh-ed25519 {KEY}", "numa2"),
        (f"numa1 ssh-ed25519 {KEY}", "[numa1]:2222"),
        (f"[numa1]:2222 ssh-ed25519 {KEY}", "numa1"),
        (f"*,!numa1 ssh-ed25519 {KEY}", "numa1"),
        (f"@cert-authority * ssh-ed25519 {KEY}", "numa1"),
        ("numa1 ssh-ed25519", "numa1"),
        ("numa1 ssh-ed25519 ~not~base64~", "numa1"),
        ("|1|broken ssh-ed25519 " + KEY, "numa1"),
    ],
)
def test_other_lines_are_no_record_of_it(tmp_path: Path, line: str, host: str) -> None:
    assert found(tmp_path, line + "\n", host) == []


def test_a_revoked_key_is_marked(tmp_path: Path) -> None:
    (key,) = found(tmp_path, f"@revoked numa1 ssh-ed25519 {KEY}\n", "numa1")
    assert key.revoked


@pytest.mark.sshd
def test_names_hashed_by_openssh_are_found_and_fingerprints_are_openssh_s(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    public = (tmp_path / "k.pub").read_text().split()
    record = tmp_path / "known_hosts"
    record.write_text(f"[127.0.0.9]:2222 {public[0]} {public[1]}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", record], check=True, capture_output=True)
    assert "127.0.0.9" not in record.read_text()
    (key,) = known_hosts.lookup([record], known_hosts.host_id("127.0.0.9", 2222))
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "k.pub"], check=True, capture_output=True, text=True
    )
    assert known_hosts.fingerprint(key.blob) == shown.stdout.split()[1]
    assert known_hosts.lookup([record], "127.0.0.9") == []


def test_the_own_file_lies_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORCH_STATE", str(tmp_path / "a"))
    assert known_hosts.own_file() == tmp_path / "a" / "known_hosts"
    monkeypatch.delenv("ORCH_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "b"))
    assert known_hosts.own_file() == tmp_path / "b" / "orch" / "known_hosts"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert known_hosts.own_file() == tmp_path / "c" / ".local" / "state" / "orch" / "known_hosts"
