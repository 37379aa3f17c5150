"""The id of a native source tree: which files count, and how they become 16 hex digits.

The rule is also in native/cmake/build_id.cmake, for builds by hand; a test compares the two.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

FOLDERS = ("cmake", "include", "kernel", "baseline", "explore", "harness", "bench")
SUFFIXES = (".c", ".h", ".S", ".cpp", ".cmake")
TOP = ("CMakeLists.txt", "CMakePresets.json")


def source_files(source: Path) -> list[str]:
    """Paths relative to ``source`` of what goes into the harness, sorted as bytes."""
    found = [name for name in TOP if (source / name).is_file()]
    for folder in FOLDERS:
        found += [
            path.relative_to(source).as_posix()
            for path in (source / folder).rglob("*")
            if path.suffix in SUFFIXES and not path.name.startswith("test_") and path.is_file()
        ]
    return sorted(found, key=str.encode)


def source_digest(source: Path) -> str:
    """16 hex digits: the harness built from it reports them as `build`."""
    lines = "".join(f"{file_sha256(source / name)}  {name}\n" for name in source_files(source))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def snapshot(source: Path, target: Path) -> str:
    """Copy what counts to ``target`` and return its digest: nobody edits the copy while it is built."""
    for name in source_files(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return source_digest(target)


def file_sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
