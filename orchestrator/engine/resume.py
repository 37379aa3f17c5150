"""What a run folder already knows of a step: where a new seat goes on from."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from agents.wire import Entry, WireError, parse_entry
from orchestrator.engine.unit import Progress
from orchestrator.results.folder import RunFolder


def made_again(controller: Iterable[Entry]) -> dict[str, set[int]]:
    """Step → launches that do not count, as the controller's journal says."""
    found: dict[str, set[int]] = {}
    for entry in controller:
        if entry.kind == "launch_again":
            found.setdefault(str(entry.data.get("step")), set()).add(int(entry.data.get("launch", -1)))
    return found


def progress_of(folder: RunFolder, host: str, step: str, again: Collection[int] = ()) -> Progress:
    """Launches that have ended stand as they are, but for those in whose place others are made (``again``); the one after
    them is followed from the byte after its last whole line. Lines are never sent twice, so that nothing is ingested twice."""
    path = folder.journal(host, step)
    if not path.is_file():
        return Progress()
    ended: list[Entry] = []
    open_: list[Entry] = []
    launch, offset = 0, 0
    with path.open("rb") as f:
        for line in f:
            if not line.endswith(b"\n"):
                break
            try:
                entry = parse_entry(line.decode())
            except (WireError, UnicodeDecodeError):
                offset += len(line)
                continue
            while entry.launch > launch and launch in again:  # it has no end
                open_, launch, offset = [], launch + 1, 0
            if entry.launch != launch:
                continue
            offset += len(line)
            open_.append(entry)
            if entry.kind == "ended":
                ended += [] if launch in again else open_
                open_, launch, offset = [], launch + 1, 0
    if launch in again:
        launch, offset = launch + 1, 0
    return Progress(tuple(ended), launch, offset)
