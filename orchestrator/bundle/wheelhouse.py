"""The wheels that a host needs to join a Ray cluster: fetched once by this machine, or a folder that somebody brings.

Below the cache, wheelhouse/<key>/: complete, or not there at all. The versions are those that are installed here.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestrator.bundle.cache import folder, locked
from orchestrator.errors import InputError, SetupError

_FETCH_S = 900.0
_NAME = re.compile(r"^([A-Za-z0-9_.]+)-([A-Za-z0-9_.!+]+)-.*\.whl$")
_BRING = "name a folder of wheels with --wheelhouse"


@dataclass(frozen=True)
class Wheelhouse:
    """Wheels for one Python on one kind of machine. ``files``: SHA-256 → file here, `uv` among them."""

    python: str
    arch: str
    requirements: tuple[str, ...]
    imports: tuple[str, ...]
    #: name of the file → its SHA-256
    wheels: Mapping[str, str]
    uv: str
    files: Mapping[str, Path]

    def order(self) -> dict[str, Any]:
        """What `agents.environment` makes the environment from; its key is the digest of the rest."""
        made: dict[str, Any] = {
            "python": self.python,
            "arch": self.arch,
            "requirements": list(self.requirements),
            "imports": list(self.imports),
            "wheels": dict(sorted(self.wheels.items())),
            "uv": self.uv,
        }
        return {**made, "key": hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()}


def ray_requirements() -> tuple[str, ...]:
    return (f"ray=={metadata.version('ray')}",)


def wheelhouse(
    given: Path | None = None,
    requirements: Sequence[str] | None = None,
    imports: Sequence[str] = ("ray",),
) -> Wheelhouse:
    """From the folder ``given``, else from the cache, else fetched. Raises InputError (no such folder, or a wheel is
    missing there), SetupError (it cannot be fetched)."""
    wanted = tuple(requirements or ray_requirements())
    place = _given(given, wanted) if given is not None else _fetched(wanted)
    wheels = {path.name: _digest(path) for path in sorted(place.glob("*.whl"))}
    uv = _uv()
    files = {digest: place / name for name, digest in wheels.items()}
    return Wheelhouse(
        python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        arch=platform.machine(),
        requirements=wanted,
        imports=tuple(imports),
        wheels=wheels,
        uv=_digest(uv),
        files={**files, _digest(uv): uv},
    )


def _given(place: Path, wanted: Sequence[str]) -> Path:
    if not place.is_dir():
        raise InputError("--wheelhouse", f"{place} is no folder")
    there = {
        f"{_plain(found[1])}=={found[2]}"
        for path in place.glob("*.whl")
        if (found := _NAME.match(path.name)) is not None
    }
    for requirement in wanted:
        if _plain(requirement) not in there:
            name = requirement.partition("==")[0]
            hint = f"pip download --only-binary :all: --dest {place} {requirement}"
            raise InputError(
                "--wheelhouse", f"{place} has no wheel of {name} {requirement.partition('==')[2]}", hint
            )
    return place


def _plain(name: str) -> str:
    name, equals, version = name.partition("==")
    return re.sub(r"[-_.]+", "-", name).lower() + equals + version


def _fetched(wanted: Sequence[str]) -> Path:
    here = sorted(
        f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions() if d.metadata["Name"]
    )
    about = json.dumps([wanted, here, platform.machine(), sys.version_info[:2]])
    key = hashlib.sha256(about.encode()).hexdigest()[:24]
    place = folder("wheelhouse") / key
    with locked(f"wheelhouse-{key}"):
        if not place.is_dir():
            _fetch(place, wanted, here)
    return place


def _fetch(place: Path, wanted: Sequence[str], here: Sequence[str]) -> None:
    """The versions are held to those that are installed here, for what is pickled there is read here."""
    work = Path(tempfile.mkdtemp(prefix=".fetching-", dir=place.parent))
    try:
        held = work / "held.txt"
        held.write_text("\n".join(line for line in here if not line.startswith("orch==")) + "\n")
        wheels = work / "wheels"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
        command += ["--disable-pip-version-check", "--constraint", str(held), "--dest", str(wheels), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_S, check=False)
        if done.returncode != 0:
            said = [
                line for line in done.stderr.splitlines() if line.startswith("ERROR")
            ] or done.stderr.splitlines()
            raise SetupError(
                "wheelhouse", f"pip cannot fetch it: {said[0] if said else 'it says nothing'}", _BRING
            )
        wheels.rename(place)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise SetupError("wheelhouse", f"cannot be fetched: {e}", _BRING) from e
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _uv() -> Path:
    import uv

    try:
        return Path(uv.find_uv_bin())
    except FileNotFoundError as e:
        raise SetupError("wheelhouse", "the program uv is not there", "run: make setup") from e


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
