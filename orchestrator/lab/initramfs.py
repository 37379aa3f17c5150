"""What a guest has instead of a disk: files in an archive that the kernel unpacks into memory (cpio, form ``newc``)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from orchestrator.errors import SetupError

_FOLDER, _FILE, _LINK = 0o040755, 0o100755, 0o120777
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def pack(
    files: Mapping[str, bytes], links: Mapping[str, str] | None = None, times: Mapping[str, int] | None = None
) -> bytes:
    """An archive of ``files``, path without a leading slash → content, each executable, with the folders that they
    lie in, and of ``links``, path → what it leads to. ``times``: when a file was changed, seconds since 1970, 0 where
    it is not told. The same files give the same bytes. Of several archives one after the other the last one wins."""
    links, times = links or {}, times or {}
    folders = {str(parent) for name in (*files, *links) for parent in PurePosixPath(name).parents} - {"."}
    entries = [(name, _FOLDER, b"") for name in sorted(folders)]
    entries += [(name, _LINK, target.encode()) for name, target in sorted(links.items())]
    entries += [(name, _FILE, content) for name, content in sorted(files.items())]
    packed = [_entry(number, *entry, times.get(entry[0], 0)) for number, entry in enumerate(entries, start=1)]
    return b"".join([*packed, _entry(0, "TRAILER!!!", 0, b"", 0)])


def _entry(number: int, name: str, mode: int, content: bytes, time: int) -> bytes:
    # inode, mode, user, group, links, time, size, device (major, minor) of the file and of what it names, name, checksum
    fields = (number, mode, 0, 0, 1, time, len(content), 0, 0, 0, 0, len(name.encode()) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)


def with_libraries(programs: Sequence[Path]) -> dict[str, bytes]:
    """Programs as files under ``bin/``, and the shared libraries that they name, where they look for them.
    Raises SetupError where a library is missing on this machine."""
    files = {f"bin/{program.name}": program.read_bytes() for program in programs}
    files |= {library.lstrip("/"): Path(library).read_bytes() for library in libraries(programs)}
    return files


def libraries(programs: Sequence[Path]) -> list[str]:
    """Paths of the shared libraries that the programs, or libraries, name, and of what those name. Raises SetupError."""
    if not programs:
        return []
    done = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, timeout=120, check=False
    )
    missing = [line.strip() for line in done.stdout.splitlines() if "not found" in line]
    if missing:
        raise SetupError(str(programs[0].parent), f"a shared library is missing: {missing[0]}")
    return sorted(set(_LIBRARY.findall(done.stdout)))
