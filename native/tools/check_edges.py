#!/usr/bin/env python3
"""Checks the edge rule of the native sources: every ordered operation names its edge, and every edge has two ends.

    check_edges.py [ROOT]        ROOT is the folder that holds include/, kernel/ and baseline/; default: the one above this file

Sources are all .c and .h below include/, kernel/ and baseline/, without test_* and without the doors themselves, include/atomics*.h and cpu.h.
harness/, test/ and explore/ ask the questions and are free to use what C offers. A finding is one line `FILE:LINE: what`; exit
status 0 without findings, 1 with some, 2 for wrong usage.

Rules
- raw: no C11 atomic, fence, volatile, or builtin of either; the doors of include/atomics.h only.
- ordered: a door with an order stronger than relaxed has, on its line or in the comments right above it, one or more of
      /* edge NAME:END — what becomes visible; :END2 is in FUNCTION */
  END is R (release), A (acquire), RA (both), S (seq_cst, one of two that order a store and a later load), and it fits
  the door: an acquire load takes A, a release store R, a seq_cst load S or A, a seq_cst fence S, a read-modify-write any.
- two-sided: FUNCTION exists, holds an operation with that edge's END2, and the two ends meet: R with A, S with S.
- relaxed: a relaxed door has `/* relaxed: why */` in the same place.
- stray: an edge comment stands at an operation.
- doors: the back end offers no door that nobody uses.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

DOOR = re.compile(
    r"\batomic_(load|store|cas|exchange|fetch_add|fetch_or|fetch_and|fetch_sub|fetch_xor|fence_light|fence_heavy|fence)"
    r"_(relaxed|acquire|release|acq_rel|seq_cst)(?:_u32|_u64|_ptr|_x2|_x4|_x8)?\s*\("
)
RAW = re.compile(
    r"\batomic_\w+_explicit\b|\b__atomic_\w+|\b__sync_\w+|\batomic_thread_fence\b|\batomic_signal_fence\b|\b_Atomic\b"
    r"|\bstdatomic\.h\b|\bvolatile\b|\b_mm_[a-z]*fence\b|\b__builtin_ia32_[a-z]*fence\b|\b__tsan_\w+"
    r"|\batomic_(?:init|load|store|exchange|compare_exchange_(?:strong|weak)|fetch_(?:add|sub|or|and|xor))\s*\("
    r"|\b(?:memory_order|atomic_flag|atomic_bool|atomic_int|atomic_uint|atomic_long|atomic_uintptr_t)\w*\b"
)
EDGE = re.compile(
    r"/\*\s*edge\s+([A-Z][A-Z0-9_]*):(RA|R|A|S)\s+—\s+(\S.*?);\s*:(RA|R|A|S)\s+is in\s+(\w+)\s*\*/", re.DOTALL
)
RELAXED = re.compile(r"/\*\s*relaxed:\s*\S.*?\*/", re.DOTALL)
FUNCTION = re.compile(r"^[A-Za-z_][\w\s*]*?\**\b(\w+)\s*\([^;{}]*\)\s*\{", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
BACK_END = re.compile(r"atomics(?:_\w+)?\.h|cpu\.h")  # the doors themselves, and what they are made of
MEETS = {"R": {"A", "RA"}, "A": {"R", "RA"}, "RA": {"R", "A", "RA"}, "S": {"S"}}
PAIRS = {
    ("load", "acquire"): {"A"},
    ("store", "release"): {"R"},
    ("load", "seq_cst"): {"S", "A"},
    ("fence", "seq_cst"): {"S"},
    ("fence_light", "seq_cst"): {"S"},
    ("fence_heavy", "seq_cst"): {"S"},
}


@dataclass
class End:
    """One end of an edge at an operation; `function` holds the operation."""

    path: Path
    line: int
    name: str
    end: str
    partner_end: str
    partner: str
    function: str


@dataclass
class Sources:
    """What was read so far; findings are finished lines."""

    ends: list[End] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    doors: set[str] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)


def blanked(text: str) -> str:
    """The text with comments and strings replaced by blanks of the same shape."""
    return COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def line_of(text: str, offset: int) -> int:
    """The line, from 1, that holds the offset."""
    return text.count("\n", 0, offset) + 1


def attached(lines: list[str], line: int) -> str:
    """The comments that belong to an operation: on its line, and on the lines right above that are comments alone.

    A statement that goes on over lines is one operation's place, so its first line may carry the comments."""
    start = line - 1
    while start > 0:
        above = lines[start - 1].strip()
        if above.startswith(("/*", "*", "//")) or above.endswith("*/"):
            start -= 1
        else:
            break
    return "\n".join(lines[start:line])


def function_spans(code: str) -> list[tuple[int, str]]:
    """(offset, name) of every function definition."""
    return [(found.start(), found.group(1)) for found in FUNCTION.finditer(code)]


def read_file(path: Path, sources: Sources) -> None:
    """Adds one source's operations, edges and findings."""
    text = path.read_text()
    code = blanked(text)
    lines = text.split("\n")
    spans = function_spans(code)
    sources.functions.update(name for _, name in spans)
    for found in RAW.finditer(code):
        sources.findings.append(
            f"{path}:{line_of(code, found.start())}: raw {found.group().strip()}: use a door of atomics.h"
        )
    used_comments: set[str] = set()
    for found in DOOR.finditer(code):
        line = line_of(code, found.start())
        function = next((name for at, name in reversed(spans) if at <= found.start()), "")
        comments = attached(lines, line)
        sources.doors.add(found.group().rstrip("( \t\n"))
        used_comments.update(match.group() for match in EDGE.finditer(comments))
        read_operation(path, line, function, (found.group(1), found.group(2)), comments, sources)
    for found in EDGE.finditer(text):
        if found.group() not in used_comments:
            sources.findings.append(
                f"{path}:{line_of(text, found.start())}: edge {found.group(1)} stands at no operation"
            )
    for found in re.finditer(r"/\*\s*edge\b(?:(?!\*/).)*\*/", text, re.DOTALL):
        if not EDGE.fullmatch(found.group()):
            sources.findings.append(
                f"{path}:{line_of(text, found.start())}: edge comment is not of the form edge NAME:END — what; :END is in FUNCTION"
            )


def read_operation(
    path: Path, line: int, function: str, door: tuple[str, str], comments: str, sources: Sources
) -> None:
    """Adds the edges of one use of a door."""
    kind, order = door
    if order == "relaxed":
        if not RELAXED.search(comments):
            sources.findings.append(f"{path}:{line}: relaxed {kind} without `/* relaxed: why */`")
        return
    edges = list(EDGE.finditer(comments))
    if not edges:
        sources.findings.append(f"{path}:{line}: {order} {kind} without an edge")
    for edge in edges:
        name, end, _, partner_end, partner = edge.groups()
        allowed = PAIRS.get(door)
        if allowed is not None and end not in allowed:
            sources.findings.append(
                f"{path}:{line}: edge {name}:{end} on a {order} {kind}, which is no such end"
            )
        sources.ends.append(End(path, line, name, end, partner_end, partner, function))


def check_partners(sources: Sources) -> None:
    """Every end finds its partner in the function it names."""
    for end in sources.ends:
        where = f"{end.path}:{end.line}: edge {end.name}:{end.end}"
        if end.partner not in sources.functions:
            sources.findings.append(f"{where}: there is no function {end.partner}")
            continue
        if end.partner_end not in MEETS[end.end]:
            sources.findings.append(f"{where} cannot meet :{end.partner_end}")
            continue
        there = any(
            other.name == end.name
            and other.end == end.partner_end
            and other.function == end.partner
            and not (other is end and end.end != "RA")
            for other in sources.ends
        )
        if not there:
            sources.findings.append(f"{where} is one-sided: no {end.name}:{end.partner_end} in {end.partner}")


def check_doors(root: Path, sources: Sources) -> None:
    """The back end's doors are all in use."""
    for path in sorted((root / "include").glob("atomics_*.h")):
        code = blanked(path.read_text())
        for found in DOOR.finditer(code):
            name = found.group().rstrip("( \t\n")
            if name not in sources.doors:
                sources.findings.append(f"{path}:{line_of(code, found.start())}: nobody uses {name}")


def check(root: Path) -> tuple[list[str], Sources]:
    """All findings of the sources below `root`, in order of file and line."""
    sources = Sources()
    for folder in ("include", "kernel", "baseline"):
        for path in sorted((root / folder).rglob("*.[ch]")):
            if not path.name.startswith("test_") and not (
                folder == "include" and BACK_END.fullmatch(path.name)
            ):
                read_file(path, sources)
    check_partners(sources)
    check_doors(root, sources)
    return sources.findings, sources


def main(arguments: list[str]) -> int:
    """Prints the findings, or one line of what was checked."""
    if len(arguments) > 1:
        print("usage: check_edges.py [ROOT]", file=sys.stderr)
        return 2
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    if not (root / "kernel").is_dir():
        print(f"check_edges.py: {root} has no folder kernel", file=sys.stderr)
        return 2
    findings, sources = check(root)
    for finding in findings:
        print(finding)
    if findings:
        return 1
    names = {end.name for end in sources.ends}
    print(f"{len(sources.ends)} ends of {len(names)} edges: {', '.join(sorted(names))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
