"""Reports of sanitizers and of poisoned memory, read from what a program wrote on standard error: kind and the functions of ours on top.

Not an analysis: `race` uses it. A report begins with a line that names its sanitizer, or at a `runtime error:`,
and goes on to its SUMMARY; of each stack the first frame below native/ counts, the others are the sanitizer's
own or the system's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Words of a report or of a message → what it is called, whoever reports it. The first that fits.
KINDS: tuple[tuple[str, str], ...] = (
    ("double-free", "double free"),
    ("double free", "double free"),
    ("freed twice", "double free"),
    ("use-after-free", "use after free"),
    ("use after free", "use after free"),
    ("use after scope", "use after free"),
    ("use-after-poison", "use after free"),
    ("after the block was freed", "use after free"),
    ("data race", "data race"),
    ("race:", "data race"),
    ("leak", "leak"),
    ("overflow", "overflow"),
    ("lock-order-inversion", "deadlock"),
    ("deadlock", "deadlock"),
    ("all wait", "deadlock"),
    ("lost wakeup", "lost wakeup"),
    ("livelock", "livelock"),
    ("does not end", "livelock"),
    ("runtime error", "undefined behaviour"),
    ("SEGV", "bad address"),
)

_BEGINS = re.compile(
    r"(?:(?:WARNING|ERROR): (?:Thread|Address|Leak|Memory)Sanitizer:?|^poison:) (?P<what>.+)"
)
_UNDEFINED = re.compile(r"(?P<where>\S+:\d+):\d+: runtime error: (?P<what>.+)")
_FRAME = re.compile(r"\s*#\d+ (?:0x[0-9a-f]+ in )?(?P<function>[A-Za-z_]\w*)[^ ]* (?P<file>\S+)")
_NOISE = re.compile(r" \(pid=\d+\)| on address.*| at pc.*| on unknown address.*")
_OURS = re.compile(r"(?:^|/)(?:native|kernel|harness|include|baseline|explore)/")
#: a report of a program that has gone wild may be cut short, and never ends
_LONGEST = 400


@dataclass(frozen=True)
class Report:
    """``functions``: ours on top of each of the stacks, in their order, each once."""

    kind: str
    functions: tuple[str, ...]
    text: str


def kind_of(text: str) -> str:
    """What a report or a message is about; the text itself, cut at its first colon, where no words fit."""
    low = text.lower()
    return next((kind for words, kind in KINDS if words.lower() in low), text.partition(":")[0].strip()[:60])


def reports(lines: Iterable[str]) -> list[Report]:
    """In the order of the lines. A report that never ends ends with them."""
    found: list[Report] = []
    what, body = "", [""]
    for line in lines:
        begins = _BEGINS.search(line) or _UNDEFINED.search(line)
        if begins and not (what and line.startswith("SUMMARY")):
            if what:
                found.append(_report(what, body))
            what, body = (
                begins["what"] if "where" not in begins.groupdict() else f"runtime error: {begins['what']}",
                [],
            )
        elif what and (line.startswith(("SUMMARY", "==================")) or len(body) > _LONGEST):
            found.append(_report(what, body))
            what, body = "", []
        elif what:
            body.append(line)
    return [*found, _report(what, body)] if what else found


def _report(what: str, body: list[str]) -> Report:
    text = _NOISE.sub("", what).strip()
    return Report(kind_of(text), tuple(dict.fromkeys(_tops(body)))[:2], text)


def _tops(body: list[str]) -> Iterable[str]:
    """Of each stack the first function of ours. Where memory was allocated says nothing of who came together."""
    taken = False
    skipped = False
    for line in body:
        frame = _FRAME.match(line)
        if frame is None:
            if line.strip():
                skipped = "allocated" in line or "created" in line or "Location" in line
            taken = False
        elif not taken and not skipped and _OURS.search(frame["file"]):
            taken = True
            yield frame["function"]
