"""An SSH session from nothing to logged in: dial, key exchange, host key, login, through jump hosts.

Strict: a host whose key is not on record is refused, and a password is never sent. Every foreign
exception is mapped in this file; what leaves it is a `LinkError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import paramiko

from orchestrator.errors import (
    HostKeyChanged,
    HostKeyUnknown,
    LinkError,
    LinkTimeout,
    LoginRefused,
    Unreachable,
)
from orchestrator.model.address import Address
from orchestrator.transport import known_hosts, lab_gate
from orchestrator.transport.bound import bound
from orchestrator.transport.ssh_config import Route, route
from orchestrator.transport.ssh_transport import Transport

#: A cut link shows itself after about this long: SSH's own keepalive does not notice one.
TCP_USER_TIMEOUT_MS = 7_000
#: where Linux keeps the least time there and back in its struct tcp_info, microseconds
_TCP_INFO_BYTES, _MIN_RTT_AT = 192, 148
_KEEPALIVE_IDLE_S, _KEEPALIVE_EVERY_S = 5, 2
_TURN_S = 0.25


@dataclass(frozen=True)
class Session:
    """``socket`` is our own end of the outermost connection: shutting it down ends everything at once."""

    transport: Transport
    socket: socket.socket
    outer: tuple[Transport, ...] = ()

    def cut(self) -> None:
        """End the connection now, whatever thread is stuck in it. Never blocks."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def is_near(self, within_us: int) -> bool:
        """Whether the kernel has seen packets go there and back within so many microseconds; False through jump hosts."""
        if self.outer:
            return False
        try:
            told = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            return False
        if len(told) < _MIN_RTT_AT + 4:
            return False
        seen = int.from_bytes(told[_MIN_RTT_AT : _MIN_RTT_AT + 4], sys.byteorder)
        return 0 < seen <= within_us

    def close(self) -> None:
        """Idempotent; never raises, and takes no longer than a few seconds."""
        self.cut()
        with bound(2.0, self.socket.close):
            for transport in (self.transport, *reversed(self.outer)):
                with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                    transport.close()
        self.socket.close()


def open_session(address: Address) -> Session:
    """Logged in, or a `LinkError` that says why not."""
    way = route(address)
    hops = [*way.jumps, way]
    sock = _dial(address, hops[0], hops[-1])
    session: Session | None = None
    try:
        for number, hop in enumerate(hops):
            end: Any = sock if session is None else _through(address, session, hop)
            outer = () if session is None else (*session.outer, session.transport)
            session = Session(Transport(end), sock, outer)
            with _bounded(address, session, hop):
                _exchange_keys(address, session.transport, hop, _preferred(address, hop))
                _check_host_key(address, session.transport, hop)
                _log_in(address, session.transport, hop, last=number == len(hops) - 1)
    except BaseException:
        if session is not None:
            session.close()
        sock.close()
        raise
    assert session is not None
    return session


def offered_key(address: Address, key_type: str) -> bytes | None:
    """The host's key of one of KEY_TYPES by a key exchange alone, without a login; None where it has
    none of that type. Through jump hosts, which must be trusted already."""
    way = route(address)
    outer: Session | None = None
    sock: socket.socket | None = None
    try:
        if way.jumps:
            last = way.jumps[-1]
            outer = open_session(_as_address(address, way, last))
            session = Session(Transport(_through(address, outer, way)), outer.socket, (outer.transport,))
        else:
            sock = _dial(address, way, way)
            session = Session(Transport(sock), sock)
        return _offered(address, session, way, key_type)
    finally:
        if outer is not None:
            outer.close()
        if sock is not None:
            sock.close()


def _offered(address: Address, session: Session, way: Route, key_type: str) -> bytes | None:
    try:
        with _bounded(address, session, way):
            _exchange_keys(address, session.transport, way, _KEY_TYPES[key_type])
        return session.transport.get_remote_server_key().asbytes()
    except Unreachable as e:
        if isinstance(e.__cause__, paramiko.ssh_exception.IncompatiblePeer):
            return None
        raise
    finally:
        session.close()


def _as_address(address: Address, way: Route, hop: Route) -> Address:
    jumps = ",".join(f"{j.user}@{j.host}:{j.port}" for j in way.jumps[:-1])
    return replace(address, host=hop.host, port=hop.port, user=hop.user, jump=jumps or "none")


def _dial(address: Address, hop: Route, last: Route) -> socket.socket:
    lab_gate.check(address)
    seconds = address.connect_timeout_s
    try:
        sock = socket.create_connection((hop.host, hop.port), timeout=seconds)
    except OSError as e:
        raise _dial_error(address, hop, e, is_jump=hop is not last) from e
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_EVERY_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
    return sock


#: errno of a dial that failed → what to say, what to do about it. {0} is "HOST port PORT".
_DIAL_ERRORS: dict[int, tuple[str, str]] = {
    errno.ECONNREFUSED: ("nothing listens on {0}", "is sshd running there, and is the port right?"),
    errno.EHOSTUNREACH: ("no route to {0}", "is the host up, and is its address right?"),
    errno.ENETUNREACH: ("no route to {0}", "is this machine on the right network?"),
    errno.ECONNRESET: ("{0} closed the connection at once", "a firewall, or too many connections?"),
    errno.EMFILE: ("too many open files on this machine", "raise `ulimit -n`, or use fewer --forks"),
}


def _dial_error(address: Address, hop: Route, error: OSError, *, is_jump: bool) -> LinkError:
    target = f"the jump host {hop.target}" if is_jump else hop.target
    if isinstance(error, socket.gaierror):
        hint = "see `ssh: {jump: …}` of the inventory" if is_jump else "set `ssh: {host: …}` in the inventory"
        return Unreachable(address.name, f"unknown host name {hop.host}", hint)
    if isinstance(error, TimeoutError):
        what = f"no answer from {target} within {address.connect_timeout_s:g} s"
        return Unreachable(address.name, what, "is the host up, and does a firewall drop the packets?")
    what, hint = _DIAL_ERRORS.get(error.errno or 0, ("{0}: " + (error.strerror or str(error)), ""))
    return Unreachable(address.name, what.format(target), hint)


def _through(address: Address, session: Session, hop: Route) -> paramiko.Channel:
    try:
        return session.transport.open_channel(
            "direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=address.connect_timeout_s
        )
    except (paramiko.SSHException, EOFError, OSError) as e:
        raise Unreachable(address.name, f"the jump host does not reach {hop.target}: {e}") from e


@contextlib.contextmanager
def _bounded(address: Address, session: Session, hop: Route) -> Iterator[None]:
    """A wall-clock bound around key exchange and login: some of paramiko's waits have none."""
    seconds = 2 * address.connect_timeout_s + 1
    late = threading.Event()

    def cut() -> None:
        late.set()
        session.cut()

    try:
        with bound(seconds, cut):
            yield
    except LinkError as e:
        if late.is_set():
            raise LinkTimeout(address.name, f"no login on {hop.target} within {seconds:g} s") from e
        raise


def _exchange_keys(address: Address, transport: Transport, hop: Route, key_types: tuple[str, ...]) -> None:
    """Up to the host key, no login."""
    seconds = address.connect_timeout_s
    transport.banner_timeout = seconds
    transport.auth_timeout = seconds
    done = threading.Event()
    deadline = time.monotonic() + seconds
    try:
        options = transport.get_security_options()
        options.key_types = key_types
        # as safe as what paramiko prefers, and half its cost on both ends
        options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
        transport.start_client(event=done)
        # its thread sets this at the end, good or bad
        while not done.wait(_TURN_S) and transport.is_active() and time.monotonic() < deadline:
            pass
        error = transport.get_exception()
        if error is not None:
            raise error
    except (paramiko.SSHException, EOFError, OSError) as e:
        late = time.monotonic() >= deadline - 0.5
        raise _exchange_error(address, hop, e, late=late) from e
    if not done.is_set() and transport.is_active():
        raise LinkTimeout(
            address.name, f"{hop.target} accepts connections but says nothing", "is it an SSH server?"
        )
    if not transport.is_active():
        raise _exchange_error(address, hop, EOFError(), late=False)


def _exchange_error(address: Address, hop: Route, error: BaseException, *, late: bool) -> LinkError:
    if late:
        return LinkTimeout(
            address.name, f"{hop.target} accepts connections but says nothing", "is it an SSH server?"
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return Unreachable(address.name, f"no algorithm in common with {hop.target}: {error}")
    if isinstance(error, EOFError | OSError) or "banner" in str(error):
        what = f"{hop.target} closed the connection before the key exchange"
        return Unreachable(address.name, what, "too many logins at once (MaxStartups), or no SSH server")
    return Unreachable(address.name, f"key exchange with {hop.target} failed: {error}")


#: what every supported paramiko can check; RSA keys have two algorithms
_KEY_TYPES: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
KEY_TYPES = tuple(_KEY_TYPES)


def _record_name(hop: Route) -> str:
    return hop.key_alias or known_hosts.host_id(hop.host, hop.port)


def _on_record(address: Address, hop: Route) -> list[known_hosts.KnownKey]:
    try:
        return known_hosts.lookup(known_hosts.files(address.known_hosts), _record_name(hop))
    except OSError as e:
        raise HostKeyUnknown(address.name, f"{e.filename} cannot be read: {e.strerror}") from e


def _preferred(address: Address, hop: Route) -> tuple[str, ...]:
    """All algorithms for host keys, those of the types on record first."""
    recorded = {key.type for key in _on_record(address, hop) if not key.revoked}
    types = sorted(KEY_TYPES, key=lambda key_type: key_type not in recorded)
    return tuple(name for key_type in types for name in _KEY_TYPES[key_type])


def _check_host_key(address: Address, transport: Transport, hop: Route) -> None:
    offered = transport.get_remote_server_key()
    blob = offered.asbytes()
    shown = f"{offered.get_name()} {known_hosts.fingerprint(blob)}"
    known = _on_record(address, hop)
    if any(key.revoked and key.blob == blob for key in known):
        raise HostKeyChanged(address.name, f"{hop.target} shows a key that is marked as revoked: {shown}")
    valid = [key for key in known if not key.revoked]
    if any(key.blob == blob for key in valid):
        return
    if not valid:
        what = f"no host key on record for {_record_name(hop)}; it shows {shown}"
        raise HostKeyUnknown(address.name, what, f"run: orch hosts trust {address.name} -i INVENTORY")
    old = valid[0]
    what = (
        f"{hop.target} shows another host key than the one on record: "
        f"recorded {old.type} {known_hosts.fingerprint(old.blob)}, shown {shown}"
    )
    hint = (
        f"was it set up anew? only then remove line {old.line} of {old.path} "
        f"and run: orch hosts trust {address.name} -i INVENTORY"
    )
    raise HostKeyChanged(address.name, what, hint)


def _log_in(address: Address, transport: Transport, hop: Route, *, last: bool) -> None:
    tried: list[str] = []
    agent: paramiko.Agent | None = None
    try:
        for label, key in _file_keys(hop, tried):
            if _accepted(address, transport, hop, label, key, tried):
                return
        if hop.use_agent:
            agent = paramiko.Agent()
            for agent_key in agent.get_keys():
                label = f"agent {known_hosts.fingerprint(agent_key.asbytes())}"
                if _accepted(address, transport, hop, label, agent_key, tried):
                    return
    except paramiko.SSHException as e:
        tried.append(f"ssh-agent failed ({e})")
    finally:
        if agent is not None:
            agent.close()
    raise _refused(address, hop, tried, last=last)


def _file_keys(hop: Route, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    for path in hop.keys:
        try:
            about = path.stat()
            if about.st_uid == os.getuid() and about.st_mode & 0o077:
                # as ssh does: whoever could read it may have it
                tried.append(f"{path} (open to others, so it is not used: chmod 600 it)")
                continue
            yield str(path), _key(path, (about.st_ino, about.st_mtime_ns, about.st_size))
        except FileNotFoundError:
            if hop.keys_named:
                tried.append(f"{path} (no such file)")
        except (paramiko.PasswordRequiredException, TypeError):
            tried.append(f"{path} (has a passphrase: load it into ssh-agent)")
        except (OSError, ValueError, paramiko.SSHException) as e:
            tried.append(f"{path} (cannot be read: {type(e).__name__})")


@lru_cache(maxsize=32)
def _key(path: Path, _stamp: tuple[int, int, int]) -> paramiko.PKey:
    """Read once for all hosts, as long as the file is what it was."""
    return paramiko.PKey.from_path(path)


def _accepted(
    address: Address, transport: Transport, hop: Route, label: str, key: paramiko.PKey, tried: list[str]
) -> bool:
    try:
        more = transport.auth_publickey(hop.user, key)
    except paramiko.BadAuthenticationType as e:
        tried.append(label)
        raise _refused(
            address, hop, [*tried, f"the host wants {', '.join(e.allowed_types)}"], last=True
        ) from e
    except paramiko.AuthenticationException as e:
        if not transport.is_active():
            if not tried:  # no key was refused before: this is no answer to our keys
                raise Unreachable(address.name, f"{hop.target} closed the connection during the login") from e
            tried.append(f"{label} (then it closed the connection: too many keys?)")
            raise _refused(address, hop, tried, last=True) from e
        tried.append(label)
        if "timeout" in str(e).lower():
            raise LinkTimeout(address.name, f"{hop.target} did not answer the login") from e
        return False
    except (paramiko.SSHException, EOFError, OSError) as e:
        raise Unreachable(address.name, f"{hop.target} closed the connection during the login: {e}") from e
    if more:
        raise _refused(
            address, hop, [*tried, f"{label} (not enough: the host wants {', '.join(more)} too)"], last=True
        )
    return True


def _refused(address: Address, hop: Route, tried: list[str], *, last: bool) -> LoginRefused:
    keys = ", ".join(tried) or "none: no key file and no agent"
    which = "" if last else " (a jump host)"
    what = f"{hop.target}{which} refuses the login of user {hop.user}; keys tried: {keys}"
    return LoginRefused(
        address.name, what, "set `ssh: {user: …, key: …}` in the inventory, or load the key into ssh-agent"
    )
