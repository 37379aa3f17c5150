"""The agent as one file: the package `agents` in a zip archive that Python runs."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import agents
import orchestrator
from agents.bootstrap import ARCHIVE_MAIN
from orchestrator.bundle.cache import folder, write_atomically

_INTERPRETER = b"#!/usr/bin/env python3\n"
#: The earliest time that the format can hold: the bytes depend on the sources alone.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def agent_zipapp() -> Path:
    """The archive in the cache; its name is its SHA-256, its bytes depend on the sources alone."""
    data = pack(Path(agents.__file__).parent)
    path = folder("agent") / f"{hashlib.sha256(data).hexdigest()}.pyz"
    if not (path.is_file() and path.read_bytes() == data):
        write_atomically(path, data, 0o755)
    return path


def seat_archive() -> Path:
    """What a seat on a host imports: agent and orchestrator, in an archive that stands in PYTHONPATH there. As with the
    agent its name is its SHA-256."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for package in (Path(agents.__file__).parent, Path(orchestrator.__file__).parent):
            for path in sorted(package.rglob("*.py")):
                _add(archive, f"{package.name}/{path.relative_to(package).as_posix()}", path.read_bytes())
    data = buffer.getvalue()
    path = folder("seat") / f"{hashlib.sha256(data).hexdigest()}.zip"
    if not (path.is_file() and path.read_bytes() == data):
        write_atomically(path, data, 0o644)
    return path


def pack(package: Path) -> bytes:
    """Every Python file of ``package``, and a start file beside it."""
    sources = sorted(package.rglob("*.py"), key=lambda p: p.relative_to(package).as_posix())
    names = [f"{package.name}/{path.relative_to(package).as_posix()}" for path in sources]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "__main__.py", ARCHIVE_MAIN.encode())
        for name, path in zip(names, sources, strict=True):
            _add(archive, name, path.read_bytes())
    return _INTERPRETER + buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data, compresslevel=9)
