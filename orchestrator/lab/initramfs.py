"""What a guest has instead of a disk: files in an archive that the kernel unpacks into memory (cpio, form ``newc``)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from orchestrator.errors import SetupError

_FOLDER, _FILE = 0o040755, 0o100755
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of ``files``, path without a leading slash → content, each executable, with the folders that they
    lie in. The same files give the same bytes."""
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    entries = [(name, _FOLDER, b"") for name in sorted(folders)]
    entries += [(name, _FILE, content) for name, content in sorted(files.items())]
    packed = [_entry(number, *entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*packed, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    # inode, mode, user, group, links, time, size, device (major, minor) of the file and of what it names, name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name.encode()) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)


def with_libraries(programs: Iterable[Path]) -> dict[str, bytes]:
    """Programs as files under ``bin/``, and the shared libraries that they name, where they look for them.
    Raises SetupError where a library is missing on this machine."""
    files = {}
    for program in programs:
        files[f"bin/{program.name}"] = program.read_bytes()
        for library in _libraries(program):
            files[library.lstrip("/")] = Path(library).read_bytes()
    return files


def _libraries(program: Path) -> list[str]:
    said = subprocess.run(
        ["ldd", str(program)], capture_output=True, text=True, timeout=30, check=False
    ).stdout
    if "not found" in said:
        raise SetupError(str(program), f"a shared library is missing: {said.strip()}")
    return _LIBRARY.findall(said)
