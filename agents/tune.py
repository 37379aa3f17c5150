"""What the kernel of this host is set to while it is measured, and putting it back.

Before the first setting is changed, what was there is written down in PLACE/tuned.json; that file goes when all of
it is back. So whoever comes next restores what somebody who was killed has left. Only settings of the table are
written, whatever the file says, and only a file of the same user counts.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Tuple

from agents.facts import chosen, text
from agents.launch import boot_id
from agents.lease import Place, read_file, write_file
from agents.wire import WireError, decode, dumps, encode

_CPUS = "sys/devices/system/cpu"


@dataclass(frozen=True)
class Knob:
    """One setting. ``values``: what may be asked for → what the kernel takes; empty: any word."""

    #: below the root; a star stands for one folder
    pattern: str
    values: Dict[str, str] = field(default_factory=dict)
    #: as the file shows it with the chosen one in brackets
    bracketed: bool = False
    #: some of its files cannot be written on a sound host
    some: bool = False
    #: what the kernel says where there is nothing to switch off
    absent: Tuple[str, ...] = ()


KNOBS: Dict[str, Knob] = {
    "governor": Knob(_CPUS + "/cpu*/cpufreq/scaling_governor"),
    "smt": Knob(
        _CPUS + "/smt/control", {"on": "on", "off": "off"}, absent=("notsupported", "notimplemented")
    ),
    "thp": Knob(
        "sys/kernel/mm/transparent_hugepage/enabled",
        {"always": "always", "madvise": "madvise", "never": "never"},
        bracketed=True,
    ),
    "numa_balancing": Knob("proc/sys/kernel/numa_balancing", {"off": "0", "on": "1"}),
    "aslr": Knob("proc/sys/kernel/randomize_va_space", {"off": "0", "conservative": "1", "full": "2"}),
    "irqs": Knob("proc/irq/*/smp_affinity_list", some=True),
}


@dataclass(frozen=True)
class Changed:
    """One file: below the root, and what it held before and holds since."""

    knob: str
    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Tuned:
    """``lease``: for whom it was set."""

    lease: str
    boot: str
    changed: List[Changed]


class Tuner:
    """Raises OSError where PLACE cannot be used; what a setting refuses is an answer."""

    def __init__(self, place: Place, root: str = "/") -> None:
        self.place = place
        self.top = Path(root)
        self.file = place.folder / "tuned.json"

    def apply(self, lease: str, wanted: Dict[str, str]) -> Dict[str, Any]:
        """Name → {asked, before, after, ok, why}. What was set before, for whomever, is put back first."""
        self.place.make()
        with self.place.locked("tune"):
            left = self._restore(None)
            answer = {}
            done: List[Changed] = []
            for name, value in wanted.items():
                answer[name] = self._set(name, value, lease, done)
            return {"settings": answer, "not_restored": left["not_restored"]}

    def restore(self, lease: "str | None") -> Dict[str, Any]:
        """Of that lease only, or whatever there is: {restored: [names], not_restored: {name: why}}."""
        if not self.file.exists():
            return {"restored": [], "not_restored": {}}
        with self.place.locked("tune"):
            return self._restore(lease)

    # ---- one setting

    def _set(self, name: str, value: str, lease: str, done: List[Changed]) -> Dict[str, Any]:
        knob = KNOBS.get(name)
        told = {"asked": value, "before": "", "after": "", "ok": False, "why": ""}
        if knob is None:
            return {**told, "why": "no such setting; known: " + " ".join(KNOBS)}
        paths = self._paths(knob)
        if not paths:
            return {**told, "why": "this kernel has no %s" % name}
        if knob.values and value not in knob.values:
            return {**told, "why": "expected one of: " + " ".join(knob.values)}
        written = knob.values.get(value, value)
        mine = [Changed(name, p, self._read(knob, p), written) for p in paths]
        before = _joined(c.before for c in mine)
        if before in knob.absent:
            why = "" if value == "off" else "%s: %s" % (name, before)
            return {**told, "before": before, "after": before, "ok": value == "off", "why": why}
        to_do = [c for c in mine if c.before != written]
        if to_do:
            # first what was there, then the change
            done += to_do
            self._remember(Tuned(lease, boot_id(), done))
        refused = [why for why in (self._write(knob, c.path, c.after) for c in to_do) if why]
        after = _joined(self._read(knob, p) for p in paths)
        told = {**told, "before": _word(knob, before), "after": _word(knob, after)}
        if knob.some and len(refused) < len(mine):
            why = "%d of %d cannot be moved" % (len(refused), len(mine)) if refused else ""
            return {**told, "ok": True, "why": why}
        return {**told, "ok": not refused, "why": refused[0] if refused else ""}

    def _restore(self, lease: "str | None") -> Dict[str, Any]:
        tuned, why = self._remembered()
        if why:
            return {"restored": [], "not_restored": {"all": why}}
        if tuned is None or (lease is not None and tuned.lease != lease):
            return {"restored": [], "not_restored": {}}
        back: List[str] = []
        left: Dict[str, str] = {}
        keep: List[Changed] = []
        for c in reversed(tuned.changed):
            knob = KNOBS.get(c.knob)
            if knob is None or not _fits(knob, c.path):
                left.setdefault(c.knob, "%s is no file of this setting" % c.path)
                continue
            if knob.some and tuned.boot != boot_id():
                continue  # their numbers are given anew at every boot
            error = "" if self._read(knob, c.path) == c.before else self._write(knob, c.path, c.before)
            if error and not (knob.some and self._read(knob, c.path) != c.after):
                left[c.knob] = error
                keep.insert(0, c)
            elif c.knob not in back:
                back.append(c.knob)
        if keep:
            self._remember(Tuned(tuned.lease, tuned.boot, keep))
        else:
            with contextlib.suppress(FileNotFoundError):
                self.file.unlink()
        return {"restored": [n for n in back if n not in left], "not_restored": left}

    # ---- what was there

    def _remember(self, tuned: Tuned) -> None:
        write_file(self.file, dumps(encode(tuned)).encode())

    def _remembered(self) -> "Tuple[Tuned | None, str]":
        import os

        found = read_file(self.file)
        if found is None:
            return None, ""
        if found[1] != os.geteuid():
            return None, "%s is of user %d, who alone can put it back" % (self.file, found[1])
        try:
            return decode(Tuned, json.loads(found[0].decode())), ""
        except (ValueError, WireError) as e:
            return None, "%s cannot be read: %s" % (self.file, e)

    # ---- files

    def _paths(self, knob: Knob) -> List[str]:
        found = [str(p.relative_to(self.top)) for p in self.top.glob(knob.pattern)]
        return sorted(found, key=lambda p: [int(n) for n in re.findall(r"\d+", p)])

    def _read(self, knob: Knob, path: str) -> str:
        said = text(self.top, path)
        return chosen(said) if knob.bracketed else said

    def _write(self, knob: Knob, path: str, value: str) -> str:
        """Why it is not so afterwards, "" where it is."""
        try:
            (self.top / path).write_text(value)
        except OSError as e:
            hint = " (needs root)" if e.errno in (1, 13) else ""
            return "/%s: %s%s" % (path, e.strerror or e, hint)
        now = self._read(knob, path)
        return "" if now == value else "/%s: is %r after %r was written" % (path, now, value)


def _fits(knob: Knob, path: str) -> bool:
    """A file that the knob's pattern means, and nothing that only looks like it."""
    shape = "[^/]*".join(re.escape(part) for part in knob.pattern.split("*"))
    return re.match(shape + r"\Z", path) is not None and ".." not in path.split("/")


def _joined(values: Any) -> str:
    return ",".join(sorted({v for v in values if v}))


def _word(knob: Knob, value: str) -> str:
    return next((word for word, v in knob.values.items() if v == value), value)
