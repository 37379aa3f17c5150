"""The scoreboard as a page of the documentation: what was tried when and on what, what each detector found, and what nobody did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.report.score import table

INTRODUCTION = """\
Every fault of `native/mutants` was planted, one at a time, and every detector looked for it ([how](race.md#what-would-have-been-found)). A detector
has *killed* a fault that it reports with at least one seed; a kill is *unique* where no other detector has it; *false* are
reports of decoys, which are correct and only look odd. Seconds and executions are those up to the report, median and 90th percentile over faults
and seeds; of the explorer, which has one thread, CPU seconds. *Replayed* is the share of kills that came again from their token, *switches* how often threads change in the run as it is shown."""


def page(board: Mapping[str, Any], about: Mapping[str, str]) -> str:
    """``about``: what stands at the top, name → words, such as the day and the commit."""
    return "\n".join(_lines(board, about)) + "\n"


def _lines(board: Mapping[str, Any], about: Mapping[str, str]) -> Iterator[str]:
    yield "<!-- Written by `orch race score --page`. -->"
    yield ""
    yield "# What would have been found"
    yield ""
    yield INTRODUCTION
    yield ""
    yield from (f"- {name}: {words}" for name, words in about.items())
    yield ""
    total = board["total"]
    yield (
        f"**{total['killed']} of {total['planted']} planted faults killed, {total['false_alarms']} false alarms on {total['decoys']} "
        f"decoys**; {_missing(board)}."
    )
    yield ""
    yield from _table(table(board))
    yield ""
    yield from _seeds(board)
    yield from _kinds(board)
    yield from _left(board)
    yield "## Fault by fault"
    yield ""
    yield "Seeds with which it was killed, of those that were tried; empty: the detector has nothing that reaches it, or is not through."
    yield ""
    yield from _faults(board)


def _missing(board: Mapping[str, Any]) -> str:
    total = board["total"]
    begun = total["planted"] + total["decoys"]
    said = [f"{total['missing']} trials are missing"] if total["missing"] else []
    said += [f"{total['unusable']} patches could not be tried"] if total["unusable"] else []
    said += [f"{begun} of {board['planned']} patches were begun"] if total["missing"] else []
    return ", ".join(said) or "nothing is missing"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    head, *rest = rows
    yield f"| {' | '.join(name.lower() for name in head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rest)


def _seeds(board: Mapping[str, Any]) -> Iterator[str]:
    told = (
        f"{n} {d['seeds_median']:g}" for n, d in board["detectors"].items() if d["seeds_median"] is not None
    )
    yield f"Seeds that were tried of a fault, in the middle: {', '.join(told)}."
    yield ""


def _kinds(board: Mapping[str, Any]) -> Iterator[str]:
    if board["kinds"]:
        told = (f"{kind} {c['killed']} of {c['planted']}" for kind, c in board["kinds"].items())
        yield f"By what it takes to see them: {', '.join(told)}."
        yield ""


def _left(board: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it should be, a list each; nothing where all is."""
    lists = {
        "Survived": [
            f"`{m['mutant']}` ({m['breaks']})" for m in board["mutants"] if not m["decoy"] and not m["killed"]
        ],
        "The explorer alone does not have": [
            f"`{m['mutant']}`"
            for m in board["mutants"]
            if not m["decoy"] and "explore" in m["by"] and not m["by"]["explore"]["kills"]
        ],
        "Reported and right": [f"`{m['mutant']}`" for m in board["mutants"] if m["decoy"] and m["killed"]],
        "Void": [f"{v['detector']} for {v['subject']}: {v['report']}" for v in board["void"]],
        "Not tried": [f"`{u['mutant']}`" for u in board["unusable"]],
    }
    for name, listed in lists.items():
        if listed:
            yield f"{name}: {', '.join(listed)}."
            yield ""


def _faults(board: Mapping[str, Any]) -> Iterator[str]:
    detectors = list(board["detectors"])
    rows: list[tuple[str, ...]] = [("fault", "breaks", *detectors)]
    for m in board["mutants"]:
        seen = (m["by"].get(d) for d in detectors)
        breaks = "decoy" if m["decoy"] else m["breaks"]
        rows.append(
            (f"`{m['mutant']}`", breaks, *("" if b is None else f"{b['kills']}/{b['seeds']}" for b in seen))
        )
    yield from _table(rows)
