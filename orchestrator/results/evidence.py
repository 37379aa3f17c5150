"""Of each launch that went wrong, what its journal holds about why, as files that can be read: evidence/<host>/<step>/<launch>/.

NAME.txt        each `evidence` entry of the agent: processes, host, kernel, reports of sanitizers
journal.txt     the last entries before its end, one a line
output.txt      the lines that it printed that are no records
backtrace.txt   where its threads were, where a core was kept
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator

from agents.wire import Entry, dumps
from orchestrator.results.fold import Folded
from orchestrator.results.folder import RunFolder
from orchestrator.results.journals import Journals
from orchestrator.results.launch import Ending, Launch
from orchestrator.results.ledger import LAST_ENTRIES

#: Of how many launches of a run: one that fails ten thousand times tells nothing new after these.
MOST_LAUNCHES = 200

_SOUND = (Ending.OK, Ending.STOPPED)
_BACKTRACE = "backtrace: "


def write_evidence(folder: RunFolder, journals: Journals, folded: Folded) -> None:
    """Raises RunFolderError. What was written before is written again as it is."""
    for launch in _wrong(folded):
        log = journals.steps.get(launch.step)
        entries = log.launches.get(launch.number, []) if log is not None else []
        place = folder.evidence(launch.host, launch.step, launch.number).relative_to(folder.path)
        of_lost = [e for e in journals.controller if _is_about(e, launch)]
        for name, lines in pieces([*entries, *of_lost]):
            folder.write(f"{place}/{name}.txt", "".join(f"{line}\n" for line in lines))


def _wrong(folded: Folded) -> list[Launch]:
    found = [n for launches in folded.launches.values() for n in launches if n.ending not in _SOUND]
    return found[:MOST_LAUNCHES]


def _is_about(entry: Entry, launch: Launch) -> bool:
    """Of a launch whose agent is gone, its host was asked afterwards."""
    about = (entry.data.get("step"), entry.data.get("launch"))
    return entry.kind == "evidence" and about == (launch.step, launch.number)


def pieces(entries: list[Entry]) -> Iterator[tuple[str, list[str]]]:
    """(name, lines) of each file; nothing of a launch without entries."""
    if entries:
        yield "journal", [_line(e) for e in entries[-LAST_ENTRIES:]]
    output = [f"{e.data.get('stream')}: {e.data.get('text')}" for e in entries if e.kind == "output"]
    if output:
        yield "output", output
    notes = [str(e.data.get("text")) for e in entries if e.kind == "note"]
    trace = [n.removeprefix(_BACKTRACE) for n in notes if n.startswith((_BACKTRACE, "core dump: "))]
    if trace:
        yield "backtrace", trace
    for name, lines in _kept(entries):
        yield name, [str(line) for line in lines]


def _kept(entries: Iterable[Entry]) -> Iterator[tuple[str, list[object]]]:
    seen = dict.fromkeys(("journal", "output", "backtrace"), 1)
    for entry in entries:
        name, lines = entry.data.get("name"), entry.data.get("lines")
        if entry.kind != "evidence" or not isinstance(name, str) or not isinstance(lines, list):
            continue
        # it comes from the host: a name of ours, and no path
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60] or "unnamed"
        seen[safe] = seen.get(safe, 0) + 1
        yield (safe if seen[safe] == 1 else f"{safe}-{seen[safe]}"), lines


def _line(entry: Entry) -> str:
    at = time.strftime("%H:%M:%S", time.gmtime(entry.t)) + f"{entry.t % 1:.3f}"[1:]
    return f"{at} {entry.seq} {entry.kind} {dumps(entry.data)[:1000]}"
