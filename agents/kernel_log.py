"""What the kernel of this host says of its own health, from now on: lines of its log that match a known pattern.

Only what the kernel itself wrote counts: a process may write into the log, too, and is not believed.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import List, NamedTuple, Optional, Pattern, Tuple

PATH = "/dev/kmsg"
#: In its place, for whoever wants to see what a host that is broken looks like: a file of such lines that grows.
INSTEAD = "ORCH_KERNEL_LOG"

#: What the host does from here on is worth nothing / may explain a figure that is odd.
BROKEN, SUSPECT = "broken", "suspect"
#: Broken on a machine; on a virtual one it may only mean that the hypervisor had no time for it.
STALLED = "stalled"

_MOST_RECORDS = 20000
_RECORD_BYTES = 8192


class Told(NamedTuple):
    """``what``: the kind of trouble, a word; ``text``: the kernel's line."""

    what: str
    level: str
    text: str


#: (kind, level, pattern), the first that matches decides. Told in docs/reference/health.md.
PATTERNS: Tuple[Tuple[str, str, Pattern[str]], ...] = tuple(
    (what, level, re.compile(pattern))
    for what, level, pattern in (
        ("panic", BROKEN, r"^Kernel panic"),
        (
            "oops",
            BROKEN,
            r"^(Internal error: )?Oops\b|^BUG: unable to handle|^BUG: kernel NULL|^kernel BUG at",
        ),
        ("oops", BROKEN, r"^Unable to handle kernel|^general protection fault\b|^BUG: Bad (page|rss)"),
        ("oops", BROKEN, r"^BUG: (KASAN|KCSAN|KFENCE|scheduling while atomic|sleeping function)"),
        # whatever it died of: "divide error: 0000 [#1] PREEMPT SMP"
        ("oops", BROKEN, r": [0-9a-f]{4,16} \[#\d+\]"),
        ("hard_lockup", BROKEN, r"Watchdog detected hard LOCKUP"),
        ("soft_lockup", STALLED, r"BUG: (soft lockup|workqueue lockup)"),
        ("rcu_stall", STALLED, r"rcu.*(detected stalls on|self-detected stall|expedited stalls)"),
        ("hung_task", STALLED, r"^INFO: task .* blocked for more than \d+ seconds"),
        (
            "out_of_memory",
            SUSPECT,
            r"invoked oom-killer|^(Out of memory|Memory cgroup out of memory): Killed",
        ),
        ("machine_check", BROKEN, r"(Hardware Error|Machine check).*([Uu]ncorrect|[Ff]atal|context corrupt)"),
        ("memory_error", BROKEN, r"^EDAC .*\b(UE|Uncorrected)\b|^Memory failure: "),
        ("memory_corrected", SUSPECT, r"^EDAC .*\b(CE|Corrected)\b"),
        ("machine_check", SUSPECT, r"\[Hardware Error\]"),
        ("read_only_disk", BROKEN, r"[Rr]emounting filesystem read-only|^XFS .*(Corruption|shutting down)"),
        ("disk_error", SUSPECT, r"I/O error, dev |^Buffer I/O error|^(EXT4|BTRFS|XFS)\b.*\berror\b"),
        ("throttled", SUSPECT, r"clock throttled|temperature above threshold"),
        ("warning", SUSPECT, r"^WARNING: (CPU: \d+ PID:|possible |suspicious |inconsistent )|^UBSAN: "),
        ("clock_source", SUSPECT, r"^clocksource: .*unstable|^tsc: Marking TSC unstable|^TSC found unstable"),
    )
)


def judge(text: str) -> Optional[Told]:
    """None for a line that says nothing of the host's health."""
    for what, level, pattern in PATTERNS:
        if pattern.search(text):
            return Told(what, level, text[:400])
    return None


class KernelLog:
    """The log, from its present end on or whole. Where it may not be read there is nothing in it."""

    def __init__(self, path: str, *, from_now: bool = True) -> None:
        self._fd = -1
        self._device = False
        self._rest = b""
        with contextlib.suppress(OSError):
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._device = stat.S_ISCHR(os.fstat(self._fd).st_mode)
            os.lseek(self._fd, 0, os.SEEK_END if from_now else os.SEEK_SET)

    @classmethod
    def whole(cls) -> "KernelLog":
        """All that is still kept of it."""
        return cls(os.environ.get(INSTEAD) or PATH, from_now=False)

    @property
    def readable(self) -> bool:
        return self._fd >= 0

    def lines(self) -> List[str]:
        """What the kernel has said since the last time, at most some thousand lines of it."""
        if self._fd < 0:
            return []
        return [text for text in map(_of_kernel, self._records()) if text]

    def _records(self) -> List[bytes]:
        if not self._device:
            data = self._rest + os.read(self._fd, _MOST_RECORDS * 80)
            *whole, self._rest = data.split(b"\n")
            return whole
        found: List[bytes] = []
        for _ in range(_MOST_RECORDS):
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BrokenPipeError:
                continue  # the oldest were overwritten before they were read
            except OSError:
                break
            if not record:
                break
            found.append(record)
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _of_kernel(record: bytes) -> str:
    """The first line of a record ``priority,number,µs,flags;text``; "" where a process wrote it."""
    head, _, rest = record.partition(b";")
    priority = head.split(b",", 1)[0]
    if not priority.isdigit() or int(priority) >> 3:
        return ""
    return rest.split(b"\n", 1)[0].decode("utf-8", "replace")
