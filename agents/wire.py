"""Record shapes that cross a boundary: orders, journal entries, harness records, host facts.

Three streams use them, each one JSON object per line, UTF-8, newline at the end:

* an **order** goes from the controller to the agent on standard input;
* a **journal** is what the agent writes on the host, and what the controller copies byte for byte;
* a **harness stream** is what a workload prints on standard output (docs/reference/harness-protocol.md).

Every shape is declared once, here, and checked on both sides by :func:`decode`. Standard library
only, Python 3.9 and later: this file is shipped to the hosts.
"""

from __future__ import annotations

import dataclasses
import json
import typing
import zlib
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Type, TypeVar

PROTOCOL = 1

#: The journal of a launch of which nothing else is said.
JOURNAL_BYTES = 64 * 1024 * 1024

#: Kinds of a journal entry written by the agent, and what ``data`` holds.
#: ``started``  {run, host, job, step, launch, workload, argv, pid, protocol, seed, cpus, mem, held}; ``held``: how all that it starts is
#:              kept together, in words
#: ``record``   one harness record, as printed (``type`` says which)
#: ``vital``    {name: value, ...} of one sampling, units in docs/reference/vitals.md
#: ``output``   {stream: "stdout"|"stderr", text} a line that is no record; text is cut at 4096 characters
#: ``health``   {level: "broken"|"suspect", what, text} of the host, as agents.health finds it: after "broken" nothing of the
#:              launch counts
#: ``evidence`` {name, lines} of a launch that went wrong, as agents.evidence finds it
#: ``note``     {text} something the agent did on its own (stop requested, output capped, core kept)
#: ``ended``    {reason, exit, signal, seconds, records, garbage, truncated, max_rss_bytes, core, message};
#:              always last. ``exit``: status or null · ``signal``: number that killed it or null ·
#:              ``core``: path on the host or "" · ``message``: one sentence for people, may be "" ·
#:              ``max_rss_bytes``: of the process tree, 0 where it ended before it was looked at
ENTRY_KINDS = ("started", "record", "vital", "output", "health", "evidence", "note", "ended")

#: How a ``note`` ends that says how many intervals and vital signs the journal had no room for.
LEFT_OUT = "were left out of the journal"

#: ``reason`` of an ``ended`` entry.
#: exited: by itself · stopped: we asked · timeout: wall clock limit · memory: memory limit · alone: nobody followed it for too long ·
#: output: flooded its output · start_failed: could not be executed ·
#: disk: the journal could not be written any more · error: the agent itself failed (``message`` says how)
END_REASONS = ("exited", "stopped", "timeout", "memory", "alone", "output", "start_failed", "disk", "error")

RECORD_TYPES = ("hello", "interval", "histogram", "history", "counter", "violation", "result")

#: Unit of every value that a sampler of `agents.vitals` can give: the agent writes names, the tables units.
VITAL_UNITS: Dict[str, str] = {
    "psi_cpu_some": "%",
    "psi_memory_some": "%",
    "psi_memory_full": "%",
    "psi_io_some": "%",
    "psi_io_full": "%",
    "cpu_frequency_min": "Hz",
    "cpu_frequency_mean": "Hz",
    "temperature_max": "°C",
    "rss": "B",
    "context_switches": "1/s",
    "involuntary_switches": "1/s",
    "cpu_busy": "%",
    "steal": "%",
    "load_1m": "1",
    "disk_free": "B",
    "vitals_cost": "s",
}


class WireError(ValueError):
    """A line that is not what it should be; ``str`` says where and what."""


@dataclass(frozen=True)
class Limits:
    """What one launch may use. The agent enforces them without the controller."""

    wall_s: float
    memory_bytes: Optional[int] = None
    #: what it may print, and what its journal may take unpacked
    output_bytes: int = JOURNAL_BYTES
    core_bytes: int = 0
    #: how long it goes on while nobody follows its journal; None: to its other limits
    alone_s: Optional[float] = None


@dataclass(frozen=True)
class Order:
    """One launch of one step on one host: everything that the agent needs to know."""

    protocol: int
    run: str
    host: str
    job: str
    step: str
    launch: int
    workload: str
    settings: Dict[str, Any]
    #: absolute path on the host of the native program, "" where the workload needs none
    program: str
    threads: int
    #: CPUs in thread order; empty means not pinned
    cpus: List[int]
    #: local | interleave | node:K
    mem: str
    warmup_s: float
    seconds: float
    interval_s: float
    seed: int
    limits: Limits
    vitals_every_s: float = 1.0
    env: Dict[str, str] = field(default_factory=dict)
    #: this host's wall clock when the workload is started, together with others; 0: at once
    start_at: float = 0.0


@dataclass(frozen=True)
class Entry:
    """One journal line. ``seq`` counts from 0 without a gap within a launch; ``t`` is the host's
    wall clock in seconds since the epoch, ``mono`` its monotonic clock in seconds."""

    seq: int
    launch: int
    t: float
    mono: float
    kind: str
    data: Dict[str, Any]


@dataclass(frozen=True)
class Cpu:
    """One logical CPU that is online. ``core`` is unique within ``package``."""

    cpu: int
    core: int
    package: int
    node: int
    #: False where this process may not run on it (cpuset, affinity)
    allowed: bool = True
    #: the first CPU of those that share its last cache, -1 where the kernel does not tell
    last_cache: int = -1


@dataclass(frozen=True)
class Node:
    """One NUMA node. ``distances`` are the kernel's, in node order (10 = local)."""

    node: int
    cpus: List[int]
    memory_bytes: int
    distances: List[int]


@dataclass(frozen=True)
class Facts:
    """What a host is. The part down to ``libc`` is stable between two contacts and decides placement;
    ``clock_s`` and the free amounts are as of the moment of asking and decide nothing in a plan."""

    protocol: int
    hostname: str
    arch: str
    cpu_model: str
    #: x86 feature flags of /proc/cpuinfo, sorted
    cpu_flags: List[str]
    cpus: List[Cpu]
    nodes: List[Node]
    #: e.g. {"L1d": 49152, "L2": 2097152, "L3": 272629760}, bytes of one instance as seen by the first CPU
    caches: Dict[str, int]
    memory_bytes: int
    kernel: str
    os: str
    python: str
    libc: str
    #: "" on bare metal, else the hypervisor as far as it can be told ("kvm", "qemu-tcg", ...)
    virtualisation: str
    #: scaling governor, "" where there is none
    governor: str
    smt: str
    thp: str
    numa_balancing: str
    aslr: str
    microcode: str
    boot_id: str
    clock_s: float
    free_memory_bytes: int
    spool_free_bytes: int
    uptime_s: float
    load_1m: float
    #: maker and model of the machine as its firmware says, "" where it says nothing
    product: str = ""
    #: so many CPUs' time is all that this process may have (a control group's quota); 0: no such limit
    quota_cpus: float = 0.0


T = TypeVar("T")


def decode(shape: Type[T], value: Any, where: str = "") -> T:
    """Build ``shape`` from decoded JSON. Unknown keys are ignored (a newer peer may add some);
    a missing or wrongly typed one raises WireError with the path of the field."""
    return typing.cast(T, _decode(shape, value, where or shape.__name__))


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    origin = typing.get_origin(hint)
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        if value is None:
            return None
        inner = next(a for a in typing.get_args(hint) if a is not type(None))
        return _decode(inner, value, where)
    if origin is list:
        (item,) = typing.get_args(hint)
        if not isinstance(value, list):
            raise WireError("%s: expected a list, got %r" % (where, _kind(value)))
        return [
            v if type(v) is item else _decode(item, v, "%s[%d]" % (where, i)) for i, v in enumerate(value)
        ]
    if origin is dict:
        _, item = typing.get_args(hint)
        if not isinstance(value, dict):
            raise WireError("%s: expected an object, got %r" % (where, _kind(value)))
        if item is Any:
            return value  # a journal's data: not walked through, there are a hundred thousand of them
        return {str(k): _decode(item, v, "%s.%s" % (where, k)) for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value, where)
    return _decode_scalar(hint, value, where)


_HINTS: Dict[Any, Any] = {}


def _decode_dataclass(shape: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise WireError("%s: expected an object, got %r" % (where, _kind(value)))
    plan = _HINTS.get(shape)
    if plan is None:
        hints = typing.get_type_hints(shape)
        plan = [
            (
                f.name,
                hints[f.name],
                f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
            )
            for f in dataclasses.fields(shape)
        ]
        _HINTS[shape] = plan
    made = {}
    for name, hint, required in plan:
        if name in value:
            v = value[name]
            # the common scalars first: a thousand hosts' facts are decoded through here
            made[name] = v if type(v) is hint else _decode(hint, v, "%s.%s" % (where, name))
        elif required:
            raise WireError("%s.%s: missing" % (where, name))
    return shape(**made)


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint):
        if hint is int and isinstance(value, bool):
            raise WireError("%s: expected int, got a boolean" % where)
        return value
    raise WireError("%s: expected %s, got %s" % (where, getattr(hint, "__name__", hint), _kind(value)))


def _kind(value: Any) -> str:
    return type(value).__name__


def encode(shape: Any) -> Dict[str, Any]:
    """The JSON object of a dataclass of this module."""
    return dataclasses.asdict(shape)


def dumps(value: Any) -> str:
    """JSON as this project writes it everywhere: no spaces, keys sorted, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def entry_line(entry: Entry) -> str:
    """One journal line, CRC-32 last, newline included. The CRC covers the line without its ``crc``."""
    body = dumps(encode(entry))
    return '%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body.encode()) & 0xFFFFFFFF)


_CRC_TAIL = len(',"crc":"00000000"}')


def parse_entry(line: str) -> Entry:
    """The entry of a journal line (with or without its newline). Raises WireError when it is cut,
    changed, or not an entry."""
    text = line.rstrip("\n")
    body, tail = text[:-_CRC_TAIL] + "}", text[-_CRC_TAIL:]
    if not (tail.startswith(',"crc":"') and tail.endswith('"}')):
        raise WireError("journal line without a checksum (cut?)")
    if "%08x" % (zlib.crc32(body.encode()) & 0xFFFFFFFF) != tail[8:16]:
        raise WireError("journal line with a wrong checksum")
    try:
        return decode(Entry, json.loads(body))
    except ValueError as e:
        raise WireError("journal line: %s" % e) from e
