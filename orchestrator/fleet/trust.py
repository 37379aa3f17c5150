"""Host keys: what a host shows, what is on record, and recording it after somebody said yes.

Shown by a key exchange only: nothing is sent that an impostor could use. Whoever says yes should
compare the fingerprint with one that they got another way.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import LinkError, SetupError, Unreachable
from orchestrator.model.address import Address
from orchestrator.transport import known_hosts


@dataclass(frozen=True)
class ShownKey:
    """One key that a host shows. ``state``: known · new · changed (another of its type is on record) · revoked."""

    host: str
    #: what known_hosts calls the host
    record: str
    type: str
    blob: bytes
    state: str
    #: where the key on record stands that this one differs from, or is revoked by: "line N of FILE"
    against: str = ""

    @property
    def fingerprint(self) -> str:
        return known_hosts.fingerprint(self.blob)


def shown_keys(address: Address) -> list[ShownKey]:
    """All keys that the host shows, one key exchange for each type. Raises `LinkError`."""
    from orchestrator.transport import ssh_config
    from orchestrator.transport.ssh_session import KEY_TYPES, offered_key

    if address.local:
        return []
    way = ssh_config.route(address)
    record = way.key_alias or known_hosts.host_id(way.host, way.port)
    on_record = known_hosts.lookup(known_hosts.files(address.known_hosts), record)
    shown = []
    for key_type in KEY_TYPES:
        blob = offered_key(address, key_type)
        if blob is not None:
            state, against = _state(key_type, blob, on_record)
            shown.append(ShownKey(address.name, record, key_type, blob, state, against))
    if not shown:
        raise Unreachable(address.name, "it shows no host key of a type that is supported")
    return shown


def _state(key_type: str, blob: bytes, on_record: Sequence[known_hosts.KnownKey]) -> tuple[str, str]:
    same = [key for key in on_record if key.blob == blob]
    other = [key for key in on_record if key.type == key_type and not key.revoked]
    for key in same:
        if key.revoked:
            return "revoked", f"line {key.line} of {key.path}"
    if same:
        return "known", ""
    return ("changed", f"line {other[0].line} of {other[0].path}") if other else ("new", "")


def record(address: Address, keys: Sequence[ShownKey]) -> Path:
    """Write the new ones of ``keys`` into the address's known_hosts, else into our own. A changed key
    is not replaced: that is for a person to do, in the file that holds the old one."""
    path = address.known_hosts or known_hosts.own_file()
    lines = [
        f"{key.record} {key.type} {base64.b64encode(key.blob).decode()}\n"
        for key in keys
        if key.state == "new"
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0, os.SEEK_END)
            if file.tell() and not path.read_bytes().endswith(b"\n"):
                file.write(b"\n")
            file.write("".join(lines).encode())
    except OSError as e:
        raise SetupError(str(path), f"cannot be written: {e.strerror}") from e
    return path


def refusal(keys: Sequence[ShownKey]) -> LinkError | None:
    """Why the keys must not be recorded, None where they may be."""
    from orchestrator.errors import HostKeyChanged

    for key in keys:
        if key.state in ("changed", "revoked"):
            what = f"{key.type} key of {key.record} is {key.state}: it shows {key.fingerprint}"
            hint = f"only if it was set up anew: remove {key.against}, then trust it again"
            return HostKeyChanged(key.host, what, hint)
    return None
