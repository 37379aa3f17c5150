"""Many journal lines at once: what a long journal is made of, intervals and vital signs, goes through Arrow's JSON reader a block at a time.

It is a quicker way to the same: whatever is not as an agent writes it, the whole block is read line by line instead (`ledger`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
from numpy.typing import NDArray

from agents.wire import Entry, WireError, parse_entry

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]

#: What stands in an interval's line and in a vital sign's, with the keys in order as agents write them.
_INTERVAL = b'"type":"interval"},"kind":"record","launch":'
_VITAL = b'},"kind":"vital","launch":'
_CRC_TAIL = len(',"crc":"00000000"}')
#: Fewer are read line by line just as quickly.
_WORTH_IT = 64

#: Bytes that Arrow reads at once: few enough to stay near the processor.
_AT_ONCE = 1 << 18

_HEAD = {"launch": pa.int64(), "seq": pa.int64(), "crc": pa.string()}
_DATA = {
    "dt": pa.float64(),
    "ops": pa.float64(),
    "phase": pa.string(),
    "t": pa.float64(),
    "type": pa.string(),
}
_INTERVAL_SCHEMA = pa.schema({"data": pa.struct(_DATA.items()), **_HEAD})
#: Of an interval's line, cut at its commas: number of the piece → what it begins with, and what comes then.
_PLAIN = {
    0: ('{"data":{"dt":', pa.float64()),
    1: ('"ops":', pa.float64()),
    2: ('"phase":"', pa.string()),
    3: ('"t":', pa.float64()),
    6: ('"launch":', pa.int64()),
    8: ('"seq":', pa.int64()),
    10: ('"crc":"', pa.string()),
}
_COLUMNS = 11
#: Bytes of a figure.
_LONGEST = 1 << 10
_VITAL_SCHEMA = pa.schema({"kind": pa.string(), "mono": pa.float64(), "t": pa.float64(), **_HEAD})


@dataclass(frozen=True)
class Part:
    """The intervals, or the vital signs, of a block. ``at``: which of its lines; NaN where something was not said."""

    at: Whole
    launch: Whole
    seq: Whole
    crc: NDArray[np.uint32]
    #: of intervals the end of each, seconds since the workload began; of vital signs when, by the host's monotonic clock
    t: Numbers
    #: further metrics, or the vital signs: name → values
    values: dict[str, Numbers]
    #: of intervals: rate, and whether it was measured
    rate: Numbers = field(default_factory=lambda: np.zeros(0))
    counts: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))


@dataclass(frozen=True)
class Block:
    """``launch``, ``seq`` and ``crc`` of each line, in order; ``light``: what is neither interval nor vital sign, by line."""

    lines: list[bytes]
    launch: Whole
    seq: Whole
    crc: NDArray[np.uint32]
    light: list[tuple[int, Entry]]
    intervals: Part | None
    vitals: Part | None


def read_block(data: bytes, lines: list[bytes]) -> Block | None:
    """Of whole lines: together, and each without its newline. None where they are few, or where something in them is out of the
    ordinary."""
    kinds = _kinds(data, lines)
    if np.count_nonzero(kinds) < _WORTH_IT:
        return None
    crcs = checksums(lines)
    launch, seq = np.zeros(len(lines), dtype=np.int64), np.zeros(len(lines), dtype=np.int64)
    try:
        light = [(int(i), parse_entry(lines[i].decode())) for i in np.flatnonzero(kinds == 0)]
        parts = [
            _part(lines, np.flatnonzero(kinds == k), crcs, f) for k, f in ((1, _intervals), (2, _vitals))
        ]
    except (WireError, UnicodeDecodeError, pa.ArrowException, _Odd):
        return None
    for i, entry in light:
        launch[i], seq[i] = entry.launch, entry.seq
    for part in parts:
        if part is not None:
            launch[part.at], seq[part.at] = part.launch, part.seq
    return Block(lines, launch, seq, crcs, light, *parts)


def _kinds(data: bytes, lines: list[bytes]) -> NDArray[np.int8]:
    """1: an interval, 2: a vital sign, 0: anything else."""
    if data.count(_INTERVAL) == len(lines):
        return np.ones(len(lines), dtype=np.int8)
    return np.array([1 if _INTERVAL in x else 2 if _VITAL in x else 0 for x in lines], dtype=np.int8)


_BRACE = ord("}")
#: Of each byte, after what went before it.
_STEPS = np.array([crc32(bytes([b]), 0xFFFFFFFF) ^ 0xFFFFFFFF for b in range(256)], dtype=np.uint32)


def checksums(lines: list[bytes]) -> NDArray[np.uint32]:
    """Of each line as it was before its checksum was put before its last brace."""
    begun = ~np.fromiter(map(crc32, [x[:-_CRC_TAIL] for x in lines]), dtype=np.uint32, count=len(lines))
    made: NDArray[np.uint32] = ~(
        _STEPS[(begun ^ np.uint32(_BRACE)) & np.uint32(0xFF)] ^ (begun >> np.uint32(8))
    )
    return made


class _Odd(Exception):
    """Not as an agent writes it."""


def _part(
    lines: list[bytes], at: Whole, crcs: NDArray[np.uint32], read: Callable[[bytes, Whole], Part]
) -> Part | None:
    if not len(at):
        return None
    part = read(b"\n".join(lines if len(at) == len(lines) else [lines[i] for i in at]), at)
    if not np.array_equal(part.crc, crcs[at]):
        raise _Odd
    return part


def _read(text: bytes, schema: pa.Schema, *, further: bool) -> dict[str, Any]:
    """Field → its values. ``further``: those that the schema does not name as well."""
    table = pyarrow.json.read_json(
        pa.BufferReader(text),
        pyarrow.json.ReadOptions(use_threads=False, block_size=_AT_ONCE),
        pyarrow.json.ParseOptions(schema, unexpected_field_behavior="infer" if further else "ignore"),
    ).combine_chunks()
    of = {name: table.column(name).chunk(0) for name in table.column_names if table.num_rows}
    if any(f.name not in of or of[f.name].null_count for f in schema):
        raise _Odd
    return of


def _intervals(text: bytes, at: Whole) -> Part:
    """Of wall and monotonic clock nothing is asked here."""
    plain = _plain_intervals(text, at)
    if plain is not None:
        return plain
    of = _read(text, _INTERVAL_SCHEMA, further=True)
    data = of["data"]
    if not _is(data.field("type"), "interval").all():
        raise _Odd
    t, dt, ops = (_floats(data.field(name)) for name in ("t", "dt", "ops"))
    head = (at, _whole(of["launch"]), _whole(of["seq"]), _crc(of["crc"]), t)
    return Part(*head, _metrics(data), _rate(ops, dt), _is(data.field("phase"), "measure"))


def _plain_intervals(text: bytes, at: Whole) -> Part | None:
    """Where each line has just what an interval has at least, and that are nearly all: keys and values between commas, in less than half the
    time. None where one has anything else."""
    if text.count(b"{") != 2 * len(at):
        return None
    wanted = [f"{n}" for n in _PLAIN]
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text),
            pyarrow.csv.ReadOptions(
                use_threads=False, column_names=[f"{n}" for n in range(_COLUMNS)], block_size=len(text) + 1
            ),
            pyarrow.csv.ParseOptions(quote_char=False, double_quote=False, ignore_empty_lines=False),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.binary()), include_columns=wanted, check_utf8=False
            ),
        ).combine_chunks()
        if table.num_rows != len(at):
            return None
        columns = [table.column(name).chunk(0) for name in wanted]
        of = {
            key: _after(column, key, to) for column, (key, to) in zip(columns, _PLAIN.values(), strict=True)
        }
        crcs = _crc(of.pop('"crc":"'), b'"}')
    except (pa.ArrowException, _Odd):
        return None
    dt, ops, phase, t, launch, seq = of.values()
    measured = _is(phase, 'measure"')
    if not (measured | _is(phase, 'warmup"')).all():
        return None
    head = (at, _whole(launch), _whole(seq), crcs, _floats(t))
    return Part(*head, {}, _rate(_floats(ops), _floats(dt)), measured)


def _after(column: Any, key: str, to: pa.DataType) -> Any:
    """What stands after ``key`` in each."""
    if not pc.all(pc.starts_with(column, key.encode())).as_py():
        raise _Odd
    return pc.binary_slice(column, len(key), _LONGEST).view(pa.string()).cast(to)


def _vitals(text: bytes, at: Whole) -> Part:
    of = _read(text, _VITAL_SCHEMA, further=True)
    data = of.get("data")
    if data is None or not pa.types.is_struct(data.type) or not _is(of["kind"], "vital").all():
        raise _Odd
    head = (at, _whole(of["launch"]), _whole(of["seq"]), _crc(of["crc"]), _floats(of["mono"]))
    return Part(*head, dict(_flat(data)))


def _rate(ops: Numbers, dt: Numbers) -> Numbers:
    """NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        made: Numbers = np.where(dt == 0, np.nan, ops / dt)
    return made


def _is(column: Any, word: str) -> NDArray[np.bool_]:
    made: NDArray[np.bool_] = pc.fill_null(pc.equal(column, word), False).to_numpy(zero_copy_only=False)
    return made


def _metrics(data: Any) -> dict[str, Numbers]:
    """The further metrics of intervals; nothing where they are no object."""
    index = data.type.get_field_index("metrics")
    if index < 0 or not pa.types.is_struct(data.type.field(index).type):
        return {}
    found = pc.struct_field(data, "metrics")
    return {
        name: _floats(pc.struct_field(found, name))
        for name, of in _fields(found)
        if pa.types.is_floating(of) or pa.types.is_integer(of)
    }


def _flat(data: Any, prefix: str = "") -> Iterator[tuple[str, Numbers]]:
    for name, of in _fields(data):
        inner = pc.struct_field(data, name)
        if pa.types.is_struct(of):
            yield from _flat(inner, f"{prefix}{name}.")
        elif pa.types.is_floating(of) or pa.types.is_integer(of):
            yield prefix + name, _floats(inner)


def _fields(data: Any) -> list[tuple[str, Any]]:
    names = [data.type.field(i).name for i in range(data.type.num_fields)]
    if len(set(names)) != len(names):
        raise _Odd
    return [(f.name, f.type) for f in (data.type.field(i) for i in range(data.type.num_fields))]


def _floats(column: Any) -> Numbers:
    made: Numbers = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return made


def _whole(column: Any) -> Whole:
    made: Whole = column.to_numpy()
    return made


_HEX = np.full(256, 255, dtype=np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16, dtype=np.uint8)
_SHIFTS = np.arange(28, -1, -4, dtype=np.uint32)


def _crc(array: Any, end: bytes = b"") -> NDArray[np.uint32]:
    """Eight hex digits each, and ``end`` → numbers."""
    width = 8 + len(end)
    if not pc.all(pc.equal(pc.binary_length(array), width), skip_nulls=False).as_py():
        raise _Odd
    _, offsets, data = array.buffers()
    begin = int(np.frombuffer(offsets, dtype=np.int32)[array.offset])
    raw = np.frombuffer(data, dtype=np.uint8)[begin : begin + len(array) * width].reshape(-1, width)
    digits = _HEX[raw[:, :8]]
    if (digits == 255).any() or (raw[:, 8:] != np.frombuffer(end, dtype=np.uint8)).any():
        raise _Odd
    made: NDArray[np.uint32] = (digits.astype(np.uint32) << _SHIFTS).sum(axis=1, dtype=np.uint32)
    return made
