"""What a launch that went wrong leaves for whoever asks why: where its processes were, what the kernel said, what the host was like.

Told in docs/reference/evidence.md. Each piece is a name and lines of text, and becomes an `evidence` entry of the journal.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Sequence, Tuple

from agents.kernel_log import KernelLog
from agents.launch import Launch, boot_id
from agents.limits import Process

Piece = Tuple[str, List[str]]

_MOST_LINES = 400
_LONGEST = 300
_MOST_PROCESSES = 16
_MOST_THREADS = 16
_MOST_FILES = 8
_FILE_BYTES = 64 * 1024
_MEMORY = (
    "MemTotal:",
    "MemFree:",
    "MemAvailable:",
    "SwapFree:",
    "Dirty:",
    "Slab:",
    "Committed_AS:",
    "HugePages_Free:",
)
#: Beginnings of the names under which sanitizers keep their reports, and programs their own logs.
_LOGS = ("asan", "tsan", "ubsan", "lsan", "msan", "hwasan")


def piece(name: str, lines: Iterable[str]) -> Dict[str, object]:
    """The data of an `evidence` entry: {name, lines}; what is too long is cut and says so."""
    kept = [line[:_LONGEST] for line in lines]
    if len(kept) > _MOST_LINES:
        kept = [
            *kept[: _MOST_LINES // 2],
            "… %d lines left out …" % (len(kept) - _MOST_LINES),
            *kept[-_MOST_LINES // 2 :],
        ]
    return {"name": name, "lines": kept}


def of_processes(tree: Sequence[Process]) -> Piece:
    """Where each thread of these is, as far as the kernel tells this account: state, what it waits in, its kernel stack."""
    lines: List[str] = []
    for one in tree[:_MOST_PROCESSES]:
        lines.append("process %d %s: parent %d" % (one.pid, _command(one.pid), one.parent))
        lines += _threads(one.pid)
    if len(tree) > _MOST_PROCESSES:
        lines.append("and %d processes more" % (len(tree) - _MOST_PROCESSES))
    return "processes", lines


def of_host(root: str = "/") -> Piece:
    """Load, pressure and memory at this moment, and for how long the host has been up."""
    top = Path(root)
    lines = ["load: " + _text(top / "proc/loadavg"), "uptime: " + _text(top / "proc/uptime")]
    lines += [
        "pressure of %s: %s" % (kind, line)
        for kind in ("cpu", "memory", "io")
        for line in _text(top / "proc/pressure" / kind).splitlines()
    ]
    lines += [line for line in _text(top / "proc/meminfo").splitlines() if line.startswith(_MEMORY)]
    lines.append("tainted: " + _text(top / "proc/sys/kernel/tainted"))
    return "host", lines


def of_files(folder: Path) -> Iterator[Piece]:
    """Reports that sanitizers have left in the launch's folder."""
    try:
        found = sorted(p for p in folder.iterdir() if p.name.lower().startswith(_LOGS) and p.is_file())
    except OSError:
        return
    for path in found[:_MOST_FILES]:
        yield path.name, _text(path, _FILE_BYTES).splitlines()


def of_lost(launch: Launch) -> Iterator[Piece]:
    """Of a launch whose supervisor is gone without a last word: its own log, the kernel's, and whether the host was booted anew."""
    about = _text(launch.pid_file)
    boot = boot_id()
    told = (
        "the host was booted anew since the launch began"
        if about and boot not in about
        else "the host was not booted anew"
    )
    yield (
        "supervisor",
        [about or "it left no word of who it was", "boot: " + boot, told if about and boot else ""],
    )
    own = _text(launch.log, _FILE_BYTES).splitlines()
    if own:
        yield "agent", own
    yield of_host()
    log = KernelLog.whole()
    yield "kernel", log.lines()[-_MOST_LINES:]
    log.close()
    yield from of_files(launch.folder)


def _threads(pid: int) -> Iterator[str]:
    try:
        threads = sorted(int(t) for t in os.listdir("/proc/%d/task" % pid))  # noqa: PTH208 - numbers, not paths
    except OSError:
        return
    for thread in threads[:_MOST_THREADS]:
        at = Path("/proc/%d/task/%d" % (pid, thread))
        fields = _text(at / "stat").rpartition(")")[2].split()
        if len(fields) < 37:
            continue
        waits = _text(at / "wchan")
        where = " in %s" % waits if waits not in ("", "0") else ""
        yield "  thread %d: state %s%s, on CPU %s, ticks %s user %s system" % (
            thread,
            fields[0],
            where,
            fields[36],
            fields[11],
            fields[12],
        )
        yield from ("    " + line for line in _text(at / "stack").splitlines())
    if len(threads) > _MOST_THREADS:
        yield "  and %d threads more" % (len(threads) - _MOST_THREADS)


def _command(pid: int) -> str:
    return _text(Path("/proc/%d/cmdline" % pid)).replace("\0", " ").strip()[:200]


def _text(path: Path, most: int = 16384) -> str:
    """ "" where it cannot be read."""
    try:
        with path.open("rb") as f:
            return f.read(most).decode("utf-8", "replace").strip()
    except OSError:
        return ""
