"""What a program needs on a host, read from the file itself: machine, static or not, oldest glibc."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import BuildError

_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64"}
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_STRTAB, _DT_VERNEED, _DT_VERNEEDNUM = 5, 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True)
class Needs:
    machine: str
    static: bool
    #: "" where it is static
    glibc: str


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def read_needs(path: Path) -> Needs:
    """Raises BuildError where it is no 64-bit little-endian ELF program."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise BuildError(str(path), "is not a 64-bit little-endian ELF program")
    try:
        return _read(data)
    except (struct.error, ValueError, IndexError) as e:
        raise BuildError(str(path), f"cannot be read as an ELF program: {e}") from e


def _read(data: bytes) -> Needs:
    number = struct.unpack_from("<H", data, 18)[0]
    machine = _MACHINES.get(number, f"elf-{number}")
    segments = _segments(data)
    if not any(s.kind == _PT_INTERP for s in segments):
        return Needs(machine, static=True, glibc="")
    versions = [
        tuple(int(part) for part in name.removeprefix("GLIBC_").split("."))
        for name in _needed_versions(data, segments)
        if name.startswith("GLIBC_2.")
    ]
    return Needs(machine, static=False, glibc=".".join(map(str, max(versions, default=(2, 0)))))


def _segments(data: bytes) -> list[_Segment]:
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    found = []
    for i in range(count):
        kind, _, offset, address, _, file_size = struct.unpack_from("<IIQQQQ", data, table + i * size)
        found.append(_Segment(kind, offset, address, file_size))
    return found


def _needed_versions(data: bytes, segments: list[_Segment]) -> list[str]:
    """The symbol versions of the section that `readelf -V` calls .gnu.version_r."""
    dynamic = next(s for s in segments if s.kind == _PT_DYNAMIC)
    tags = dict(struct.iter_unpack("<QQ", data[dynamic.offset : dynamic.offset + dynamic.size // 16 * 16]))
    if _DT_VERNEED not in tags:
        return []
    strings = _file_offset(segments, tags[_DT_STRTAB])
    need = _file_offset(segments, tags[_DT_VERNEED])
    names = []
    for _ in range(tags[_DT_VERNEEDNUM]):
        _, count, _, first, following = struct.unpack_from("<HHIII", data, need)
        entry = need + first
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", data, entry)
            start = strings + name
            names.append(data[start : data.index(b"\0", start)].decode())
            entry += step
        need += following
    return names


def _file_offset(segments: list[_Segment], address: int) -> int:
    for s in segments:
        if s.kind == _PT_LOAD and s.address <= address < s.address + s.size:
            return s.offset + address - s.address
    raise ValueError(f"no segment holds address {address:#x}")
