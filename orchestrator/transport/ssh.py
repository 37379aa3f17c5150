"""A host over SSH: the five verbs, each over one channel of one session (see `ssh_session`).

`Unreachable` from a verb means that nothing was started on the host; `LinkLost` and `LinkTimeout`
mean that it may have been.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import paramiko

from orchestrator.errors import LinkLost, LinkTimeout, LoginRefused, RemoteFailed, Unreachable
from orchestrator.model.address import Address
from orchestrator.transport.bound import bound
from orchestrator.transport.link import Completed
from orchestrator.transport.ssh_session import Session, open_session
from orchestrator.transport.ssh_transport import Transport

#: what is handed to paramiko at once: one packet, under the 32 KiB that every server takes
PIECE = 32_000
STDERR_KEPT = 64 * 1024
#: Bytes on the way to a host nearby. OpenSSH takes 2 MB, and when its command does not read as fast its buffer grows by small steps, each a
#: copy of the whole: 0.2 s of the host's CPU for one connection.
_NEARBY_BYTES = 256 * 1024
_NEARBY_RTT_US = 2_000
#: a server that has not said within so many seconds that it has taken some is one that wants more first
_UNHEARD_S = 0.25
#: opening a channel and starting a command, seconds; both are one round trip
_START_S = 20.0
#: from the end of the output to the exit status, seconds
_STATUS_S = 15.0
_NOT_FOUND = 127
#: bytes of one command's output that are held in memory
_OUTPUT_MAX = 1 << 30

T = TypeVar("T")

# Beside the target, so that the rename cannot cross file systems. The size is checked because a link
# that is cut looks to `cat` like the end of its input.
_PUT = """
umask 077
trap 'rm -f -- "$part"' EXIT
part=$2
cat >"$part" || exit 1
[ "$(wc -c <"$part")" -eq "$3" ] || { echo "only a part of it arrived" >&2; exit 1; }
chmod "$4" "$part" && { sync "$part" 2>/dev/null || sync; } && mv -f -- "$part" "$1"
"""


def open_ssh(address: Address) -> SshLink:
    """Raises the `LinkError` that says why there is no way in."""
    session = open_session(address)
    if address.become is None:
        return SshLink(address.name, session, pace=address.pace)
    try:
        return _as_another(address, session)
    except BaseException:
        session.close()
        raise


def _as_another(address: Address, session: Session) -> SshLink:
    """A link whose commands run as ``become``. -n: sudo fails rather than ask, for nobody is there to answer."""
    user = str(address.become)
    link = SshLink(address.name, session, ("sudo", "-n", "-H", "-u", user, "--"), address.pace)
    done = link.run(["true"], timeout_s=_START_S * address.pace)
    if done.exit == _NOT_FOUND:
        raise LoginRefused(address.name, "there is no sudo on the host", "install it, or take `become` away")
    if done.exit != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = lines[0].removeprefix("sudo: ") if lines else f"exit {done.exit}"
        hint = f"in sudoers there: {address.user or 'USER'} ALL=({user}) NOPASSWD: ALL"
        raise LoginRefused(address.name, f"no way to become {user}: {said}", hint)
    return link


class SshLink:
    """A `Link` over one SSH session. Verbs may run side by side, each in a channel of its own."""

    def __init__(self, host: str, session: Session, prefix: Sequence[str] = (), pace: float = 1.0) -> None:
        """``prefix``: what every command is started through; ``pace``: see `Address.pace`."""
        self._host = host
        self._session = session
        self._prefix = tuple(prefix)
        self._pace, self._start_s = pace, _START_S * pace

    @property
    def host(self) -> str:
        return self._host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        pieces = [stdin] if stdin else []
        out = bytearray()
        with self._command(
            argv, pieces, timeout_s, f"`{argv[0]}` did not end within {timeout_s:g} s"
        ) as running:
            for piece in running.chunks():
                out += piece
                if len(out) > _OUTPUT_MAX:
                    raise RemoteFailed(self._host, f"`{argv[0]}` wrote more than {_OUTPUT_MAX} bytes")
            return Completed(running.exit(), bytes(out), running.stderr())

    @contextlib.contextmanager
    def stream(
        self, argv: Sequence[str], *, stdin: bytes = b"", idle_s: float = 60.0
    ) -> Iterator[SshStreaming]:
        pieces = [stdin] if stdin else []
        with self._command(argv, pieces, idle_s, f"nothing came for {idle_s:g} s", renew=True) as running:
            yield running

    def put(self, source: Path, target: str, *, mode: int = 0o644, timeout_s: float = 600.0) -> None:
        folder, _, name = target.rpartition("/")
        part = f"{folder}/" * bool(folder or target.startswith("/")) + f".{name}.{secrets.token_hex(4)}.part"
        try:
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                argv = ["sh", "-c", _PUT, "put", target, part, str(size), f"{mode:o}"]
                late = f"copying {source.name} took longer than {timeout_s:g} s"
                with self._command(argv, _pieces(file.read, size), timeout_s, late) as running:
                    for _ in running.chunks():
                        pass
                    status, said = running.exit(), running.stderr()
        except OSError as e:
            raise RemoteFailed(self._host, f"cannot copy {source}: {e.strerror or e}") from e
        if status != 0:
            raise RemoteFailed(self._host, f"cannot write {target}: {_last_line(said) or f'exit {status}'}")

    def get(self, source: str, target: Path, *, timeout_s: float = 600.0) -> None:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        late = f"copying {source} took longer than {timeout_s:g} s"
        try:
            with (
                part.open("xb") as file,
                self._command(["cat", "--", source], [], timeout_s, late) as running,
            ):
                for piece in running.chunks():
                    file.write(piece)
                if running.exit() != 0:
                    said = _last_line(running.stderr()) or f"exit {running.exit()}"
                    raise RemoteFailed(self._host, f"cannot read {source}: {said}")
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as e:
            raise RemoteFailed(self._host, f"cannot write {target}: {e.strerror or e}") from e
        finally:
            with contextlib.suppress(OSError):
                part.unlink()

    def close(self) -> None:
        self._session.close()

    @contextlib.contextmanager
    def _command(
        self, argv: Sequence[str], stdin: Iterable[bytes], seconds: float, late: str, *, renew: bool = False
    ) -> Iterator[SshStreaming]:
        channel = self._start(argv)
        running = SshStreaming(
            self._host, self._session.transport, channel, seconds, late, renew=renew, pace=self._pace
        )
        feeder: threading.Thread | None = None
        if stdin:
            most = _NEARBY_BYTES if self._session.is_near(_NEARBY_RTT_US) else channel.out_window_size
            feeder = threading.Thread(target=_feed, args=(channel, stdin, most), daemon=True)
            feeder.start()
        else:
            with bound(self._start_s, self._session.cut):
                _feed(channel, (), 0)
        try:
            yield running
        finally:
            self._end(channel, feeder)

    def _start(self, argv: Sequence[str]) -> paramiko.Channel:
        """A channel with the command running in it. `exec` so that its signal is reported as one."""
        transport = self._session.transport
        if not transport.is_active():
            raise Unreachable(self._host, "the connection is gone; nothing was started")

        def open_channel() -> paramiko.Channel:
            return transport.open_session(timeout=self._start_s)

        channel = self._guarded(open_channel, "the host opens no channel", Unreachable)
        # a pipe that says when there is something to read; made before anything can come
        channel.fileno()
        command = "exec " + shlex.join([*self._prefix, *argv])
        self._guarded(
            lambda: channel.exec_command(command), "the connection ended as the command started", LinkLost
        )
        return channel

    def _guarded(self, call: Callable[[], T], what: str, error: type[Unreachable | LinkLost]) -> T:
        """Call into paramiko where it may block; cut the connection when it takes too long."""
        late = threading.Event()

        def cut() -> None:
            late.set()
            self._session.cut()

        try:
            with bound(self._start_s + 1, cut):
                return call()
        except (paramiko.SSHException, EOFError, OSError) as e:
            if late.is_set():
                raise LinkTimeout(self._host, f"no answer within {self._start_s:g} s") from e
            raise error(self._host, f"{what}: {str(e) or 'connection closed'}") from e

    def _end(self, channel: paramiko.Channel, feeder: threading.Thread | None) -> None:
        """End the channel. What still runs in it ends when it next writes, or reads its input: OpenSSH
        passes no signal on to a command of root's."""
        transport = self._session.transport
        with bound(5.0, self._session.cut):
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                channel.close()
            if feeder is not None:
                feeder.join(timeout=10.0)
        transport.exit_signals.pop(channel.get_id(), None)


class SshStreaming:
    """A command that is running in a channel. ``seconds`` bounds the whole, or with ``renew`` each silence."""

    def __init__(
        self,
        host: str,
        transport: Transport,
        channel: paramiko.Channel,
        seconds: float,
        late: str,
        *,
        renew: bool,
        pace: float,
    ) -> None:
        self._host = host
        self._status_s = _STATUS_S * pace
        self._transport = transport
        self._channel = channel
        self._seconds = seconds
        self._late = late
        self._renew = renew
        self._deadline = time.monotonic() + seconds
        self._stderr = bytearray()
        self._stderr_kept = STDERR_KEPT if renew else _OUTPUT_MAX

    def chunks(self) -> Iterator[bytes]:
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        while True:
            heard = self._drain_stderr()
            # asked in this order: what came before the end is still read after it
            ended = bool(self._channel.eof_received) or self._channel.closed
            if self._channel.recv_ready():
                heard = True
                yield self._channel.recv(1 << 20)
            elif ended:
                break
            else:
                wait = self._deadline - time.monotonic()
                if wait <= 0:
                    raise LinkTimeout(self._host, self._late)
                poll.poll(wait * 1000)
            if heard and self._renew:
                self._deadline = time.monotonic() + self._seconds
        self._drain_stderr()

    def exit(self) -> int:
        if not self._channel.status_event.wait(self._status_s):
            raise LinkTimeout(self._host, f"no exit status within {self._status_s:g} s")
        self._drain_stderr()
        name = self._transport.exit_signals.get(self._channel.get_id())
        if name is not None:
            return self._signal_number(name)
        if self._channel.exit_status < 0:
            raise LinkLost(self._host, "the connection ended while a command was running")
        return self._channel.exit_status

    def stderr(self) -> bytes:
        self._drain_stderr()
        return bytes(self._stderr)

    def _signal_number(self, name: str) -> int:
        number = getattr(signal, f"SIG{name}", None)
        if not isinstance(number, int):
            raise RemoteFailed(self._host, f"ended by a signal that the server gives no name for ({name})")
        return -int(number)

    def _drain_stderr(self) -> bool:
        heard = False
        while self._channel.recv_stderr_ready():
            self._stderr += self._channel.recv_stderr(1 << 20)
            del self._stderr[: -self._stderr_kept]
            heard = True
        return heard


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes of a file, or fewer where it became shorter (the host then refuses them)."""
    left = size
    while left > 0 and (piece := read(min(left, 1 << 20))):
        left -= len(piece)
        yield piece


def _feed(channel: paramiko.Channel, stdin: Iterable[bytes], most: int) -> None:
    """Write it all and close. At most about ``most`` bytes are on the way at a time."""
    whole = channel.out_window_size
    # a command may end, or close its input, before it has read it all: its exit status says so
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException, socket.timeout):
        for piece in stdin:
            view = memoryview(piece)
            while view:
                if whole - channel.out_window_size >= most and not _taken(channel, whole - most):
                    most = whole
                view = view[channel.send(bytes(view[:PIECE])) :]
        channel.shutdown_write()


def _taken(channel: paramiko.Channel, window: int) -> bool:
    """Wait until the server takes more than ``window`` bytes again. False where it does not say so for a while."""
    with channel.out_buffer_cv:
        return bool(
            channel.out_buffer_cv.wait_for(
                lambda: channel.closed or channel.out_window_size > window, timeout=_UNHEARD_S
            )
        )


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("cat: ") if lines else ""
