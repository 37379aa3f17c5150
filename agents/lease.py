"""One holder per host: the lease lies on the host itself, ends by the host's own clock, and is taken atomically.

PLACE (the same for everybody who may use the host) holds ``lock``, which is held for moments, and
``lease.json``, the record of the holder. Time is the kernel's time since boot: a clock that is set cannot end
a lease early, and a record from before a reboot counts for nothing. The holder's sign of life is a file in its
own spool, which the controller writes; the keeper (`agents.keeper`) carries it into the record.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import stat
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

from agents.launch import boot_id, check_name
from agents.limits import process
from agents.wire import WireError, decode, dumps, encode

#: How long a keeper may take to put the host in order after its lease has ended, before another takes over.
GRACE_S = 20.0
_LONGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Record:
    """``until`` and ``end`` are seconds since boot; ``since`` is the host's wall clock."""

    id: str
    who: str
    run: str
    what: str
    since: float
    boot: str
    ttl_s: float
    until: float
    #: the longest that it may be held, whatever signs of life there are
    end: float
    #: of the holder, absolute
    spool: str
    keeper: int = 0
    keeper_start: int = 0
    #: user whose file the record is, as the file system says
    owner: int = -1

    def is_kept(self) -> bool:
        """Its keeper lives."""
        found = process(self.keeper) if self.keeper else None
        return found is not None and found.start == self.keeper_start and found.state not in "ZX"

    def is_valid(self, now: float) -> bool:
        """Nobody else may take it: not expired, or its keeper is still putting the host in order."""
        if self.boot != boot_id():
            return False
        return now < min(self.until, self.end) + (GRACE_S if self.is_kept() else 0.0)


def uptime() -> float:
    """Seconds since boot, sleep included."""
    return float(Path("/proc/uptime").read_text().split()[0])


class Place:
    """The folder of the lease. Raises OSError where it cannot be made or used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "lease.json"

    def make(self) -> None:
        """For every user of the host; what lies in it is never trusted further than a record's shape."""
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(parents=True)
            self.folder.chmod(0o777)
        if not stat.S_ISDIR(os.lstat(self.folder).st_mode):
            raise NotADirectoryError(20, "not a folder", str(self.folder))

    @contextlib.contextmanager
    def locked(self, name: str = "lock") -> Iterator[None]:
        """Exclusive among all processes of the host. For moments only; ``tune`` for as long as tuning takes."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        path = str(self.folder / name)
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(fd, 0o666)
        except FileExistsError:
            fd = os.open(path, flags)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def read(self) -> Optional[Record]:
        """None where there is none, or what is there is no record."""
        found = read_file(self.record)
        if found is None:
            return None
        try:
            return replace(decode(Record, json.loads(found[0].decode())), owner=found[1])
        except (ValueError, WireError):
            return None

    def write(self, record: Record) -> None:
        write_file(self.record, dumps(encode(record)).encode())

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.record.unlink()


def read_file(path: Path) -> "Optional[tuple[bytes, int]]":
    """A plain file and the user whose it is, None where there is none."""
    try:
        fd = os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as f:
        about = os.fstat(fd)
        return (f.read(_LONGEST_FILE), about.st_uid) if stat.S_ISREG(about.st_mode) else None


def write_file(path: Path, data: bytes) -> None:
    """All of it or nothing, and on the disk before it has its name."""
    part = path.with_name(".%s.%s" % (path.name, secrets.token_hex(6)))
    fd = os.open(str(part), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def beat_file(spool: Path, lease: str) -> Path:
    """The holder's sign of life: seconds since boot, as text."""
    return spool / "lease" / lease


def described(record: Optional[Record], now: float) -> Optional[Dict[str, Any]]:
    """For people and for the controller; ``until`` as wall clock. None where nobody holds the host."""
    if record is None or record.boot != boot_id():
        return None
    return {
        "id": record.id,
        "who": record.who,
        "run": record.run,
        "what": record.what,
        "since": record.since,
        "until": time.time() + min(record.until, record.end) - now,
        "expired": now >= min(record.until, record.end),
        "kept": record.is_kept(),
    }


def take(place: Place, wanted: Record, lasts_s: float) -> "tuple[bool, Optional[Record]]":
    """Whether ``wanted`` holds the host now; and who does instead, or whose expired lease it replaced. ``until``,
    ``end`` and ``boot`` of ``wanted`` are set here. Taken again by its holder it goes on from where it began."""
    check_name(wanted.id, "id")
    place.make()
    with place.locked():
        now = uptime()
        before = place.read()
        again = before is not None and before.id == wanted.id and before.boot == boot_id()
        if before is not None and not again and before.is_valid(now):
            return False, before
        record = replace(wanted, boot=boot_id(), until=now + wanted.ttl_s, end=now + lasts_s)
        if again and before is not None:
            record = replace(record, since=before.since, end=before.end)
            record = replace(record, keeper=before.keeper, keeper_start=before.keeper_start)
        _beat(record, now)
        place.write(record)
    return True, None if again else before


def adopt(place: Place, record: Record, keeper: int) -> bool:
    """Write down who keeps the lease. False where it is no longer this one."""
    found = process(keeper)
    with place.locked():
        now = place.read()
        if now is None or now.id != record.id or found is None:
            return False
        place.write(replace(now, keeper=keeper, keeper_start=found.start))
    return True


def renew(place: Place, record: Record) -> Optional[float]:
    """Seconds until the lease ends as the last sign of life says; 0.0 and less where it has ended. None where it is held
    no more: released, or another's."""
    beat = read_file(beat_file(Path(record.spool), record.id))
    if beat is None:
        return None
    with place.locked():
        now = uptime()
        held = place.read()
        if held is None or held.id != record.id:
            return None
        until = held.until
        with contextlib.suppress(ValueError):
            # what is written there counts up to now, and no further
            until = max(until, min(float(beat[0].decode("ascii", "replace")), now) + held.ttl_s)
        if until != held.until:
            place.write(replace(held, until=until))
        return min(until, held.end) - now


def drop(place: Place, lease: str, spool: Path) -> bool:
    """The host is free again. False where it was held by another, or by nobody."""
    with contextlib.suppress(OSError):
        beat_file(spool, lease).unlink()
    with place.locked():
        held = place.read()
        if held is None or held.id != lease:
            return False
        place.remove()
    return True


def _beat(record: Record, now: float) -> None:
    path = beat_file(Path(record.spool), record.id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(path, b"%.2f\n" % now)
