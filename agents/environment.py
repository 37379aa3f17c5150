"""A Python environment on this host, made from wheels that lie in the spool as blobs; nothing is fetched from anywhere.

SPOOL/env/KEY is there whole or not at all: it is made under another name and renamed. KEY is the digest of what it is made from,
so that one made before is the one that is wanted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

_KEY = re.compile(r"^[0-9a-f]{64}$")
_WHEEL = re.compile(r"^[A-Za-z0-9_.+!-]+\.whl$")
_STEP_S = 500.0


class Refused(Exception):
    """Cannot be made here; one line says why."""


def install(spool: Path, wanted: Dict[str, Any]) -> Dict[str, Any]:
    """``wanted``: key; python, as major.minor, and arch that the wheels are for; uv, the digest of that program; wheels,
    name → digest; requirements; imports, modules that must load. Raises Refused, OSError."""
    _check(wanted)
    final = spool / "env" / wanted["key"]
    final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (final.parent / ("." + wanted["key"] + ".lock")).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return {"environment": str(final), "made": False}
        work = final.parent / ("." + wanted["key"] + ".work")
        shutil.rmtree(work, ignore_errors=True)
        try:
            work.mkdir(mode=0o700)
            _make(spool, work, wanted)
            (work / "env").rename(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return {"environment": str(final), "made": True}


def _check(wanted: Dict[str, Any]) -> None:
    for name in ("key", "uv"):
        if not _KEY.match(str(wanted.get(name, ""))):
            raise Refused("%s: not a SHA-256" % name)
    for name, digest in dict(wanted.get("wheels") or {}).items():
        if not _WHEEL.match(name) or not _KEY.match(str(digest)):
            raise Refused("wheels: %r is no wheel under a digest" % name)
    here = "%d.%d" % sys.version_info[:2]
    if wanted.get("python") != here:
        raise Refused("the wheels are for Python %s, and this is %s" % (wanted.get("python"), here))
    if wanted.get("arch") != platform.machine():
        raise Refused("the wheels are for %s, and this is %s" % (wanted.get("arch"), platform.machine()))


def _make(spool: Path, work: Path, wanted: Dict[str, Any]) -> None:
    blobs, wheels = spool / "blobs", work / "wheels"
    wheels.mkdir()
    for name, digest in wanted["wheels"].items():
        _link(blobs / digest, wheels / name)
    uv = str(blobs / wanted["uv"])
    made = work / "env"
    _run(work, [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(made)])
    python = str(made / "bin" / "python")
    install_them = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--offline",
        "--no-index",
        "--no-build",
    ]
    _run(work, [*install_them, "--find-links", str(wheels), *wanted["requirements"]])
    for module in wanted.get("imports", ()):
        _run(work, [python, "-c", "import " + module])


def _link(blob: Path, target: Path) -> None:
    """The blob under the name of a wheel, without a copy where that can be."""
    with contextlib.suppress(OSError):
        os.link(blob, target)
        return
    shutil.copyfile(str(blob), str(target))


def _run(work: Path, argv: List[str]) -> None:
    kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment.update(
        UV_CACHE_DIR=str(work / "cache"),
        UV_NO_CONFIG="1",
        UV_OFFLINE="1",
        UV_PYTHON_DOWNLOADS="never",
        TMPDIR=str(work),
    )
    try:
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_STEP_S, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise Refused("`%s` took longer than %d s" % (Path(argv[0]).name, _STEP_S)) from e
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        raise Refused(
            "%s: %s" % (" ".join(argv[1:3]), " / ".join(said[-4:])[-400:] or "exit %d" % done.returncode)
        )
