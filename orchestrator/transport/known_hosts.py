"""Reading known_hosts as OpenSSH writes it: which keys are on record for a host, and which are revoked."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SSH_PORT = 22


@dataclass(frozen=True)
class KnownKey:
    """One key on record: its type as written (``ssh-ed25519``), the key itself, and where it stands."""

    type: str
    blob: bytes
    path: Path
    line: int
    revoked: bool = False


def own_file() -> Path:
    """Where `orch hosts trust` records keys: ORCH_STATE, else XDG_STATE_HOME/orch."""
    return state_dir() / "known_hosts"


def state_dir() -> Path:
    if explicit := os.environ.get("ORCH_STATE"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "orch"


def files(explicit: Path | None) -> list[Path]:
    """The files that count: only ``explicit`` where it is given."""
    if explicit is not None:
        return [explicit]
    return [Path.home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts"), own_file()]


def host_id(host: str, port: int) -> str:
    """What known_hosts calls a host: the port only where it is not 22."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def fingerprint(blob: bytes) -> str:
    """As ssh-keygen shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def lookup(paths: Iterable[Path], host: str) -> list[KnownKey]:
    """Every key on record for ``host`` (see `host_id`), revoked ones included. A file that is not
    there holds none; a line that cannot be read is no record (as for OpenSSH). Raises OSError
    where a file is there and may not be read."""
    found: list[KnownKey] = []
    for path in paths:
        if path.exists():
            lines = path.read_text(errors="replace").splitlines()
            found += _keys(path, lines, host)
    return found


def _keys(path: Path, lines: list[str], host: str) -> Iterator[KnownKey]:
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        # a certificate authority is no host key: such hosts stay unknown until their key is recorded
        if marker not in ("", "@revoked") or len(fields) < 3 or not _names(fields[0], host):
            continue
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except binascii.Error:
            continue
        yield KnownKey(fields[1], blob, path, number, revoked=marker == "@revoked")


def _names(patterns: str, host: str) -> bool:
    """Whether the first field of a line means ``host``: names, wildcards, ! before one, hashed names."""
    named = False
    for pattern in patterns.split(","):
        if pattern.startswith("|1|"):
            named = named or _hashed(pattern, host)
        elif pattern.startswith("!"):
            if _matches(pattern[1:], host):
                return False
        else:
            named = named or _matches(pattern, host)
    return named


def _matches(pattern: str, host: str) -> bool:
    # brackets stand for themselves in known_hosts, for a set of letters in fnmatch
    return fnmatch.fnmatchcase(host.lower(), pattern.lower().replace("[", "[[]"))


def _hashed(pattern: str, host: str) -> bool:
    try:
        _, _, salt, digest = pattern.split("|")
        made = hmac.new(base64.b64decode(salt), host.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(made, base64.b64decode(digest))
    except (ValueError, binascii.Error):
        return False
