"""Recorded histories of a search for races: which windows are wrong, and of which steps some could not be judged. Not an analysis: `race` uses it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.analysis.histories.check import Answer, Window, check_windows
from orchestrator.analysis.histories.shown import columns
from orchestrator.analysis.spreading import Spread
from orchestrator.analysis.tables import Tables

#: Windows in one piece of work: a tenth of a second or so.
PIECE = 100
KIND = "not linearizable"


@dataclass(frozen=True)
class Wrong:
    """A window that cannot have happened; ``text``: why, in one line; ``shown``: the calls that suffice, a column per thread."""

    step: str
    launch: int
    text: str
    shown: str


def wrong_windows(tables: Tables, job: str, spread: Spread) -> tuple[list[Wrong], dict[str, str]]:
    """The wrong ones, and step → why some of its windows could not be judged."""
    rows = tables["histories"]
    rows = rows[rows["job"] == job]
    windows = [Window(str(spec), str(data)) for spec, data in zip(rows["spec"], rows["data"], strict=True)]
    pieces = [windows[at : at + PIECE] for at in range(0, len(windows), PIECE)]
    answers: list[Answer] = [a for given in spread(check_windows, pieces) for a in given]
    wrong: list[Wrong] = []
    open_: dict[str, str] = {}
    of = zip(rows["step"], rows["launch"], rows["window"], rows["whole"], answers, strict=True)
    for step, launch, window, whole, answer in of:
        if answer.fault is not None:
            text = f"window {window}: {answer.fault.what}"
            wrong.append(Wrong(str(step), int(launch), text, "\n".join(columns(answer.fault.calls))))
        elif answer.undecided or not whole:
            open_.setdefault(str(step), answer.undecided or "not all of its records are there")
    return wrong, open_
