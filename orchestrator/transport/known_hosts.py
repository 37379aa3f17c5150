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
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

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
            about = path.stat()
            found += _read(path, (about.st_ino, about.st_mtime_ns, about.st_size)).keys_of(host)
    return found


class _Record(NamedTuple):
    """A file, read once for all hosts. ``named``: name in lower case → keys, of lines that hold plain names only;
    ``others``: the first field of every other line, and its key."""

    named: dict[str, list[KnownKey]]
    others: list[tuple[str, KnownKey]]

    def keys_of(self, host: str) -> list[KnownKey]:
        found = [*self.named.get(host.lower(), ())]
        found += [key for patterns, key in self.others if _names(patterns, host)]
        return sorted(found, key=lambda key: key.line)


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: tuple[int, int, int]) -> _Record:
    """``_stamp``: what tells whether it is still the same file."""
    record = _Record({}, [])
    for names, key in _lines(path):
        if any(sign in names for sign in "|!*?"):
            record.others.append((names, key))
            continue
        for name in set(names.lower().split(",")):
            record.named.setdefault(name, []).append(key)
    return record


def _lines(path: Path) -> Iterator[tuple[str, KnownKey]]:
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        # a certificate authority is no host key: such hosts stay unknown until their key is recorded
        if marker not in ("", "@revoked") or len(fields) < 3:
            continue
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except binascii.Error:
            continue
        yield fields[0], KnownKey(fields[1], blob, path, number, revoked=marker == "@revoked")


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
