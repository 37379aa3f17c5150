"""A run's certificates: what its authority has signed is trusted at the address it was signed for, and nothing else is."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from orchestrator.fleet.certificates import Authority, Papers


def context(papers: Papers, folder: Path, side: ssl._SSLMethod) -> ssl.SSLContext:
    folder.mkdir()
    files = papers.written(folder)
    made = ssl.SSLContext(side)
    made.load_verify_locations(files["RAY_TLS_CA_CERT"])
    made.load_cert_chain(files["RAY_TLS_SERVER_CERT"], files["RAY_TLS_SERVER_KEY"])
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def greeting(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes:
    """What a client reads that dials ``name``; raises what either side raises first."""
    ours, theirs = socket.socketpair()
    failed: list[Exception] = []

    def serve() -> None:
        with theirs:
            try:
                with server.wrap_socket(theirs, server_side=True) as s:
                    s.sendall(b"hello")
            except OSError as e:
                failed.append(e)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name) as s:
            said = s.recv(5)
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return said


def test_machines_of_one_run_trust_each_other_at_their_addresses(tmp_path: Path) -> None:
    authority = Authority()
    head = context(authority.papers("10.0.0.1"), tmp_path / "head", ssl.PROTOCOL_TLS_SERVER)
    node = context(authority.papers("10.0.0.2"), tmp_path / "node", ssl.PROTOCOL_TLS_CLIENT)
    assert greeting(head, node, "10.0.0.1") == b"hello"
    assert greeting(head, node, "127.0.0.1") == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        greeting(head, node, "10.0.0.3")


def test_what_another_run_has_signed_is_refused(tmp_path: Path) -> None:
    head = context(Authority().papers("10.0.0.1"), tmp_path / "head", ssl.PROTOCOL_TLS_SERVER)
    node = context(Authority().papers("10.0.0.2"), tmp_path / "node", ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        greeting(head, node, "10.0.0.1")


def test_keys_are_nobody_elses(tmp_path: Path) -> None:
    papers = Authority().papers("10.0.0.1")
    for path in papers.written(tmp_path).values():
        assert Path(path).stat().st_mode & 0o777 == 0o600


def test_a_name_gets_none() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        Authority().papers("n1")
