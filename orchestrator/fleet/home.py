"""Where an embedded Ray lives: a folder that goes with it. What is left of one whose processes were all killed goes when the next is made.

Whoever lives there has a lock on a file in it, and the kernel lets go of that however its processes end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

#: Sockets lie below it, and their paths are limited to 107 bytes: so it is not in the run folder.
_PARENT, _PREFIX = Path("/tmp"), "orch-ray-"  # noqa: S108 - made by mkdtemp
#: Ray opens its own folder to everybody, sockets included; the one around it stays ours.
BELOW = "r"
_LOCK = "held"

#: home → the open file that holds it for this process
_HOLDING: dict[Path, int] = {}


def make_home() -> Path:
    """A folder for one embedded Ray, held until `remove_home`."""
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PARENT))
    # under another name first: as soon as it is there, it is held
    begun = home / f".{_LOCK}"
    _HOLDING[home] = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(_HOLDING[home], fcntl.LOCK_SH)
    begun.rename(home / _LOCK)
    return home


def hold(home: Path) -> None:
    """This process lives there, too; until `remove_home`."""
    if home not in _HOLDING:
        with contextlib.suppress(OSError):
            _HOLDING[home] = os.open(home / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(_HOLDING[home], fcntl.LOCK_SH | fcntl.LOCK_NB)


def remove_home(home: Path, logs: Path | None = None) -> None:
    """``logs``: where Ray's logs are kept first. Harmless where it is gone already."""
    if logs is not None:
        _keep_logs(home, logs)
    shutil.rmtree(home, ignore_errors=True)
    if home in _HOLDING:
        os.close(_HOLDING.pop(home))


def token_file(home: Path) -> Path:
    """Where the token lies of the Ray that lives in ``home``."""
    return home / "token"


def _keep_logs(home: Path, logs: Path) -> None:
    for session in (home / BELOW).glob("session_[0-9]*"):
        with contextlib.suppress(OSError):
            shutil.copytree(session / "logs", logs / "ray", dirs_exist_ok=True)


def _sweep() -> None:
    """Ours that nobody holds any more."""
    for home in _PARENT.glob(f"{_PREFIX}*"):
        try:
            if home.lstat().st_uid != os.geteuid():
                continue
            held = os.open(home / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # not ours, or of a node that others started here
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(home, ignore_errors=True)
        except OSError:
            pass  # somebody lives there
        finally:
            os.close(held)
