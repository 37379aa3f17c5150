"""Whether this host may be believed while a launch runs: its kernel log, taint, counters of hardware errors, and its clock.

Told in docs/reference/health.md. What is found becomes `health` entries of the journal: *broken*, and what the launch did is
worth nothing, or *suspect*, which may explain a figure.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterator, List

from agents.facts import cpuinfo
from agents.kernel_log import BROKEN, INSTEAD, PATH, STALLED, SUSPECT, KernelLog, Told, judge
from agents.virtualisation import virtualisation

#: Of one kind, in one launch: what comes after these is not told.
_MOST_OF_A_KIND = 5
#: The wall clock against the monotonic one: what is more than a correction that is spread over time.
CLOCK_STEP_S = 0.2
#: A reading of both clocks that took longer says nothing.
_READING_S = 0.02
#: Of what the kernel has said since the launch began, whatever it was about.
_KEPT_LINES = 200
#: Interrupts are counted in a file that is long on a large machine.
_INTERRUPTS_EVERY_S = 10.0

#: Bits of /proc/sys/kernel/tainted that tell of trouble.
_TAINTS = (
    (4, "machine_check", BROKEN, "M: a machine check"),
    (5, "oops", BROKEN, "B: a bad page"),
    (7, "oops", BROKEN, "D: it has died before, of an oops or a bug"),
    (14, "soft_lockup", STALLED, "L: a soft lockup"),
)

Event = Dict[str, Any]


class Health:
    """Of one launch. ``look`` gives what is new since the last time; cheap, and never raises."""

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/")
        self._log = KernelLog(os.environ.get(INSTEAD) or self._root + PATH)
        #: what the kernel has said since the launch began, the last of it
        self.kernel_lines: Deque[str] = deque(maxlen=_KEPT_LINES)
        self._told: Dict[str, int] = {}
        self._counts: Dict[str, int] = {}
        self._tainted = 0
        self._offset = _clock_offset()
        self._interrupts_at = 0.0
        self._sources: List[Callable[[], Iterator[Told]]] = [
            self._kernel,
            self._taint,
            self._memory,
            self._throttling,
            self._interrupts,
            self._clock,
        ]

    def look(self) -> List[Event]:
        """Events: {level, what, text}."""
        found: List[Event] = []
        for source in self._sources:
            try:
                told = list(source())
            except (OSError, ValueError):
                continue
            found += [event for event in map(self._event, told) if event]
        return found

    def close(self) -> None:
        self._log.close()

    def _event(self, told: Told) -> Event:
        """{} for one of a kind of which there were enough."""
        count = self._told[told.what] = self._told.get(told.what, 0) + 1
        if count > _MOST_OF_A_KIND:
            return {}
        level = told.level
        if level == STALLED:
            level = SUSPECT if self._is_virtual() else BROKEN
        return {"level": level, "what": told.what, "text": told.text}

    def _is_virtual(self) -> bool:
        top = Path(self._root or "/")
        return bool(virtualisation(top, cpuinfo(top)))

    # ---- sources

    def _kernel(self) -> Iterator[Told]:
        for text in self._log.lines():
            self.kernel_lines.append(text)
            told = judge(text)
            if told is not None:
                yield told

    def _taint(self) -> Iterator[Told]:
        tainted = int(self._text("/proc/sys/kernel/tainted"))
        for bit, what, level, text in _TAINTS:
            if tainted & ~self._tainted & 1 << bit:
                yield Told(what, level, "the kernel is tainted, %s" % text)
        self._tainted |= tainted

    def _memory(self) -> Iterator[Told]:
        top = Path(self._root + "/sys/devices/system/edac/mc")
        for name, what, level in (
            ("ue_count", "memory_error", BROKEN),
            ("ce_count", "memory_corrected", SUSPECT),
        ):
            for path in top.glob("mc*/" + name):
                yield from self._grown(
                    str(path), int(path.read_text()), what, level, "%s of %s" % (name, path.parent.name)
                )

    def _throttling(self) -> Iterator[Told]:
        top = Path(self._root + "/sys/devices/system/cpu/cpu0/thermal_throttle")
        for path in sorted(top.glob("*_throttle_count")):
            yield from self._grown(str(path), int(path.read_text()), "throttled", SUSPECT, path.name)

    def _interrupts(self) -> Iterator[Told]:
        now = time.monotonic()
        if now < self._interrupts_at:
            return
        self._interrupts_at = now + _INTERRUPTS_EVERY_S
        kinds = {"MCE:": "machine check exceptions", "TRM:": "thermal events", "THR:": "threshold interrupts"}
        for line in self._text("/proc/interrupts").splitlines():
            words = line.split()
            if words and words[0] in kinds:
                count = sum(int(w) for w in words[1:] if w.isdigit())
                what = "throttled" if words[0] == "TRM:" else "machine_check"
                yield from self._grown(words[0], count, what, SUSPECT, kinds[words[0]])

    def _clock(self) -> Iterator[Told]:
        offset = _clock_offset()
        if offset is None:
            return
        if self._offset is not None and abs(offset - self._offset) > CLOCK_STEP_S:
            moved = offset - self._offset
            way = "forward" if moved > 0 else "back"
            yield Told("clock_step", SUSPECT, "the wall clock went %s by %.3f s" % (way, abs(moved)))
        self._offset = offset

    def _grown(self, name: str, count: int, what: str, level: str, text: str) -> Iterator[Told]:
        before = self._counts.get(name)
        self._counts[name] = count
        if before is not None and count > before:
            yield Told(what, level, "%s: %d more, %d since it was started" % (text, count - before, count))

    def _text(self, path: str) -> str:
        return Path(self._root + path).read_text()


def _clock_offset() -> "float | None":
    """Wall clock minus monotonic clock, seconds; None where they could not be read at the same time."""
    before = time.monotonic()
    wall = time.time()
    after = time.monotonic()
    return wall - (before + after) / 2 if after - before < _READING_S else None
