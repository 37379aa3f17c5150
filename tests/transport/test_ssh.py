"""What only SSH can do wrong: host keys, logins, silence, and a connection that ends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import (
    HostKeyChanged,
    HostKeyUnknown,
    LinkError,
    LinkLost,
    LinkTimeout,
    LoginRefused,
    Unreachable,
)
from orchestrator.model.address import Address
from orchestrator.transport import known_hosts, open_link, ssh
from orchestrator.transport.ssh import SshLink
from orchestrator.transport.ssh_session import TCP_USER_TIMEOUT_MS

pytestmark = pytest.mark.sshd


def keygen(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return path


def refused(address: Address, kind: type[LinkError]) -> LinkError:
    """The error of opening, which must come soon."""
    before = time.monotonic()
    with pytest.raises(kind) as caught:
        open_link(address).close()
    assert time.monotonic() - before < 15
    assert type(caught.value) is kind
    assert caught.value.where == address.name
    return caught.value


@contextlib.contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """A port of 127.0.0.1 that accepts and says ``answer`` and closes, or with None says nothing."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    peer, _ = server.accept()
                    if answer is None:
                        held.append(peer)
                        continue
                    with peer:
                        peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        over.set()
        thread.join()
    for peer in held:
        peer.close()


def test_an_unknown_host_key_is_refused_and_says_how_to_trust_it(lab: Any, tmp_path: Path) -> None:
    error = refused(lab.address("h1", known_hosts=tmp_path / "none"), HostKeyUnknown)
    assert "SHA256:" in error.what
    assert error.hint == "run: orch hosts trust h1 -i INVENTORY"


def test_a_changed_host_key_is_refused_and_both_fingerprints_are_shown(lab: Any, tmp_path: Path) -> None:
    host = lab.lab.host("h1")
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text()
    record = tmp_path / "known_hosts"
    record.write_text(f"[{host.address}]:{host.port} {other}")
    error = refused(lab.address("h1", known_hosts=record), HostKeyChanged)
    assert error.what.count("SHA256:") == 2
    assert f"line 1 of {record}" in error.hint


def test_a_revoked_host_key_is_refused_though_it_is_on_record(lab: Any, tmp_path: Path) -> None:
    lines = (lab.lab.path / "known_hosts").read_text()
    record = tmp_path / "known_hosts"
    record.write_text(lines + "".join(f"@revoked {line}\n" for line in lines.splitlines()))
    assert "revoked" in refused(lab.address("h1", known_hosts=record), HostKeyChanged).what


def test_the_own_record_counts_where_the_inventory_names_none(lab: Any, home: Path) -> None:
    refused(lab.address("h1", known_hosts=None), HostKeyUnknown)
    record = known_hosts.own_file()
    try:
        record.write_text((lab.lab.path / "known_hosts").read_text())
        open_link(lab.address("h1", known_hosts=None)).close()
    finally:
        record.unlink()


def test_a_refused_login_names_user_and_keys_and_nothing_secret(lab: Any, tmp_path: Path) -> None:
    key = keygen(tmp_path / "stranger")
    error = refused(lab.address("h1", key=key), LoginRefused)
    assert str(key) in error.what
    assert f"user {lab.lab.user}" in error.what
    assert not set(key.read_text().splitlines()[1:-1]) & set(str(error).split())


def test_a_key_that_is_missing_or_locked_is_said(lab: Any, tmp_path: Path) -> None:
    assert "no such file" in refused(lab.address("h1", key=tmp_path / "missing"), LoginRefused).what
    locked = keygen(tmp_path / "locked", passphrase="long enough")
    assert "passphrase" in refused(lab.address("h1", key=locked), LoginRefused).what
    broken = tmp_path / "broken"
    broken.write_text("not a key")
    broken.chmod(0o600)
    assert "cannot be read" in refused(lab.address("h1", key=broken), LoginRefused).what


def test_a_key_that_others_may_read_is_not_used_and_the_command_that_mends_it_is_said(
    lab: Any, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes((lab.lab.path / "user").read_bytes())
    key.chmod(0o640)
    assert "chmod 600" in refused(lab.address("h1", key=key), LoginRefused).what
    key.chmod(0o600)
    open_link(lab.address("h1", key=key)).close()


def test_a_host_that_has_had_enough_of_our_keys_is_a_refused_login(lab: Any, home: Path) -> None:
    keys = [keygen(home / f"stranger{n}") for n in range(8)]
    (home / ".ssh" / "config").write_text("Host *\n" + "".join(f" IdentityFile {key}\n" for key in keys))
    error = refused(lab.address("h1", key=None), LoginRefused)
    assert "too many keys" in error.what
    assert "stranger7" not in error.what


def test_the_agent_is_asked_only_where_the_address_says_so(
    lab: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock = home / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL) as agent:
        try:
            deadline = time.monotonic() + 10
            while not sock.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
            subprocess.run(["ssh-add", "-q", str(lab.lab.path / "user")], check=True, timeout=10)
            with contextlib.closing(open_link(lab.address("h1", key=None, agent=True))) as link:
                assert link.run(["true"]).exit == 0
            error = refused(lab.address("h1", key=None, agent=False), LoginRefused)
            assert "no key file and no agent" in error.what
        finally:
            agent.kill()


def test_nothing_listening_is_unreachable(lab: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "nothing listens" in refused(lab.address("h1", host="127.0.0.1", port=port), Unreachable).what


def test_an_unknown_name_is_unreachable(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "unknown host name" in refused(lab.address("h1", host="h1.invalid"), Unreachable).what


def test_a_host_that_accepts_and_says_nothing_is_a_timeout(lab: Any) -> None:
    with listener(None) as port:
        before = time.monotonic()
        error = refused(lab.address("h1", host="127.0.0.1", port=port, connect_timeout_s=0.5), LinkTimeout)
        assert time.monotonic() - before < 8
    assert "says nothing" in error.what


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\xff" * 3000]
)
def test_a_port_that_is_no_ssh_server_is_unreachable(lab: Any, answer: bytes) -> None:
    with listener(answer) as port:
        refused(lab.address("h1", host="127.0.0.1", port=port, connect_timeout_s=2.0), Unreachable)


def test_the_library_writes_nothing_to_the_terminal(
    lab: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with listener(b"SSH-2.0-x\r\n") as port:
        refused(lab.address("h1", host="127.0.0.1", port=port), Unreachable)
    refused(lab.address("h1", known_hosts=tmp_path / "none"), HostKeyUnknown)
    assert capfd.readouterr() == ("", "")


def test_a_host_that_dies_in_the_middle_of_a_stream_is_lost_within_seconds(lab: Any, spare: str) -> None:
    with contextlib.closing(open_link(lab.address(spare))) as link:
        before = 0.0
        with link.stream(["sh", "-c", "while :; do echo x; sleep 0.1; done"]) as running:
            with pytest.raises(LinkLost):  # noqa: PT012 - the chunks and the exit belong together
                for _ in running.chunks():
                    if not before:
                        lab.kill(spare)
                        before = time.monotonic()
                running.exit()
            assert time.monotonic() - before < 8
        with pytest.raises(Unreachable, match="nothing was started"):
            link.run(["true"])
    refused(lab.address(spare), Unreachable)


def test_a_session_that_is_killed_under_a_command_is_lost_never_an_exit(lab: Any) -> None:
    with contextlib.closing(open_link(lab.address("h1"))) as link, pytest.raises(LinkLost):
        # the parent of the command is the sshd process of this connection
        link.run(["sh", "-c", "kill -9 $PPID; sleep 20"], timeout_s=20)


def test_a_file_that_is_cut_on_its_way_is_not_put_into_place(lab: Any, tmp_path: Path) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_bytes(b"new" * 20_000_000)
    there.write_text("old")
    with contextlib.closing(open_link(lab.address("h2"))) as link:
        session = int(link.run(["sh", "-c", "echo $PPID"]).stdout)
        with contextlib.closing(open_link(lab.address("h2"))) as other:
            script = f"while ! ls {tmp_path}/.there* 2>/dev/null; do :; done; kill -9 {session}"
            killer = threading.Thread(target=other.run, args=(["sh", "-c", script],))
            killer.start()
            with pytest.raises(LinkLost):
                link.put(source, str(there))
            killer.join()
    assert there.read_text() == "old"


def test_closing_frees_a_reader_in_another_thread(lab: Any) -> None:
    link = open_link(lab.address("h1"))
    timer = threading.Timer(0.5, link.close)
    timer.start()
    before = time.monotonic()
    with pytest.raises(LinkLost):
        link.run(["sleep", "30"], timeout_s=30)
    assert time.monotonic() - before < 10
    timer.join()


def test_verbs_may_run_side_by_side(lab: Any) -> None:
    with contextlib.closing(open_link(lab.address("h1"))) as link:
        answers: list[bytes] = []
        threads = [
            threading.Thread(
                target=lambda n=n: answers.append(link.run(["sh", "-c", f"sleep 0.2; echo {n}"]).stdout)
            )
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [b"%d\n" % n for n in range(6)]


def test_the_socket_notices_a_cut_link_by_itself(lab: Any) -> None:
    link = open_link(lab.address("h1"))
    assert isinstance(link, SshLink)
    sock = link._session.socket
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TCP_USER_TIMEOUT_MS
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    link.close()


def test_closing_leaves_neither_thread_nor_file_open(lab: Any) -> None:
    def opened() -> int:
        return threading.active_count() + len(list(Path("/proc/self/fd").iterdir()))

    open_link(lab.address("h1")).close()
    before = opened()
    for _ in range(3):
        with contextlib.closing(open_link(lab.address("h1"))) as link:
            link.run(["true"])
    deadline = time.monotonic() + 5
    while opened() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert opened() <= before


def test_a_host_nearby_gets_no_more_at_once_than_it_can_hold_cheaply(lab: Any) -> None:
    link = open_link(lab.address("h1"))
    assert isinstance(link, SshLink)
    with contextlib.closing(link):
        assert link._session.is_near(10**6)
        assert not link._session.is_near(0)
        assert link.run(["sh", "-c", "sleep 0.2; wc -c"], stdin=bytes(3_000_000)).stdout.strip() == b"3000000"


class Window:
    """A channel whose server takes everything and says so when half of its window is used, or less often."""

    def __init__(self, whole: int, told_after: int) -> None:
        self.out_window_size = whole
        self.out_buffer_cv = threading.Condition()
        self.closed = self.shut = False
        self.most = self.sent = 0
        self._whole, self._told_after = whole, told_after

    def send(self, piece: bytes) -> int:
        taken = min(len(piece), self.out_window_size)
        self.out_window_size -= taken
        self.sent += taken
        self.most = max(self.most, self._whole - self.out_window_size)
        if self._whole - self.out_window_size >= self._told_after:
            self.out_window_size = self._whole
        return taken

    def shutdown_write(self) -> None:
        self.shut = True


@pytest.mark.parametrize(
    ("told_after", "most"),
    [
        pytest.param(100_000, 200_000, id="a server that tells soon"),
        pytest.param(1_000_000, 2_000_000, id="a server that wants more first"),
    ],
)
def test_feeding_is_paced_where_the_server_allows_it(
    told_after: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_UNHEARD_S", 0.01)
    channel: Any = Window(2_000_000, told_after)
    ssh._feed(channel, [bytes(3_000_000)], 128_000)
    assert (channel.sent, channel.shut) == (3_000_000, True)
    assert channel.most < most
