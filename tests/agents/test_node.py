"""A host as a node of a cluster: what Ray starts is found and ended, whoever its parent is. Ray is a script here."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.wire import dumps
from tests.agents.conftest import Host, is_alive, wait_for

#: starts what looks like a raylet, detached, with its arguments and its token in a file
RAY = """#!/bin/sh
case "$1" in
-c) echo "2.60.0 3.11.2" ;;
-m) shift; echo "$@" >"$HERE/argv"; cat "$RAY_AUTH_TOKEN_PATH" >"$HERE/token"; cat "$RAY_TLS_CA_CERT" >"$HERE/ca"
    case "$*" in *bad-head*) echo "no head there" >&2; exit 1 ;; esac
    case "$*" in *too-busy*) echo "2026-11-29 02:45:41,298	INFO scripts.py:1234 -- Local node IP: 10.77.0.11"; exit 1 ;; esac
    trap '' TERM
    setsid sleep 600 </dev/null >/dev/null 2>&1 &
    echo $! >"$HERE/pid" ;;
esac
"""


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "python-with-ray"
    script.write_text(RAY)
    script.chmod(0o755)
    monkeypatch.setenv("HERE", str(tmp_path))
    return script


def join(host: Host, ray: Path, **over: Any) -> dict[str, Any]:
    order = {
        "run": "run-1",
        "head": "127.0.0.1:6379",
        "token": "secret",
        "python": str(ray),
        "ray_version": "2.60.0",
        "python_version": "3.11.9",
        "labels": {"host": "h1"},
        "object_store_bytes": 80 << 20,
        "path": "/seat.zip",
        "options": {"node-manager-port": "7000"},
        "files": {"RAY_TLS_CA_CERT": "who signs"},
    }
    done = host.agent("join", stdin=dumps({**order, **over}).encode())
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_node_is_started_by_token_and_ended_without_a_trace(host: Host, ray: Path, tmp_path: Path) -> None:
    assert join(host, ray) == {"joined": True, "why": "", "address": "127.0.0.1"}
    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    words = (tmp_path / "argv").read_text()
    assert "--address 127.0.0.1:6379 --node-ip-address 127.0.0.1" in words
    assert "--labels host=h1 --node-manager-port 7000" in words
    assert "secret" not in words
    assert (tmp_path / "token").read_text() == "secret"
    assert (tmp_path / "ca").read_text() == "who signs"
    folder = host.spool / "ray" / "run-1"
    assert (folder / "RAY_TLS_CA_CERT").stat().st_mode & 0o777 == 0o600
    home = Path((folder / "home").read_text())
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert home.is_dir()
    parted = json.loads(host.agent("part", "--run", "run-1").stdout)
    assert pid in parted["ended"]
    assert parted["left"] == []
    assert wait_for(lambda: not is_alive(pid))
    assert not home.exists()
    assert not folder.exists()


def test_a_sweep_of_what_lives_ends_nodes_too(host: Host, ray: Path, tmp_path: Path) -> None:
    join(host, ray)
    pid = int((tmp_path / "pid").read_text())
    first = json.loads(host.agent("sweep", "--live").stdout)
    assert pid in first["orphans"]
    assert json.loads(host.agent("sweep", "--live").stdout)["orphans"] == []


def test_another_run_s_node_stays(host: Host, ray: Path, tmp_path: Path) -> None:
    join(host, ray)
    pid = int((tmp_path / "pid").read_text())
    assert json.loads(host.agent("part", "--run", "run").stdout)["ended"] == []
    assert is_alive(pid)
    host.agent("part")
    assert wait_for(lambda: not is_alive(pid))


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"ray_version": "2.10.0"}, "Ray is 2.60.0 there and 2.10.0 here"),
        ({"python_version": "3.12.1"}, "Python is 3.11.2 there and 3.12.1 here"),
        ({"python": "/bin/false"}, "no Ray under /bin/false: exit 1"),
        ({"python": "/no/such"}, "/no/such cannot be run: No such file or directory"),
        ({"head": "127.0.0.1:1", "labels": {"host": "bad-head"}}, "Ray does not start: no head there"),
        ({"labels": {"host": "too-busy"}}, "Ray does not start: exit status 1, and it says nothing of why"),
    ],
)
def test_why_it_does_not_join_is_said_and_nothing_is_left(
    host: Host, ray: Path, over: dict[str, Any], why: str
) -> None:
    answer = join(host, ray, **over)
    assert (answer["joined"], answer["why"]) == (False, why)
    assert not (host.spool / "ray" / "run-1").exists()


def test_any_is_the_environment_that_was_made_last(host: Host, ray: Path, tmp_path: Path) -> None:
    made = host.spool / "env" / ("a" * 64) / "bin"
    made.mkdir(parents=True)
    (made / "python").symlink_to(ray)
    words = ["--python", "any", "--ray", "2.60.0", "--version", "3.11.0"]
    assert json.loads(host.agent("fit", *words).stdout) == {"why": ""}
    (made / "python").unlink()
    said = json.loads(host.agent("fit", *words).stdout)["why"]
    assert str(Path(sys.executable).name) in said or said == ""


def test_an_order_that_is_none_is_one_line(host: Host) -> None:
    for raw in (b"{", b'{"run": 1}', b"[]"):
        done = host.agent("join", stdin=raw)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_a_node_whose_port_is_in_use_is_not_started_and_it_is_said(
    host: Host, ray: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        answer = join(host, ray, options={"node-manager-port": port, "min-worker-port": port})
    assert answer == {"joined": False, "why": f"port {port} is in use there", "address": ""}
    assert not (tmp_path / "argv").exists()
