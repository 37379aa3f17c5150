"""`orch race score`: what would have been found."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_UNKNOWN, EXIT_VIOLATED, InputError


def score(
    detectors: Annotated[
        list[str] | None,
        typer.Option("--detector", help="explore | tsan | asan | noise | plain; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trials of each mutant with each detector.")] = 5,
    budget: Annotated[str, typer.Option(help="Longest time of one trial.")] = "10s",
    only: Annotated[list[str] | None, typer.Option(help="This mutant alone; may be repeated.")] = None,
    mutants: Annotated[
        Path | None, typer.Option(help="Folder of patches; without it those of the source tree.")
    ] = None,
    decoys: Annotated[Path | None, typer.Option(help="Folder of patches that are correct.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="File of answers: those in it are not asked for again, new ones are added."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Mutants at a time; without it one per CPU.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Plant every known fault, let every detector look for it, and say who found what, and how soon.

    Exit codes: 0 every fault was killed and no decoy, 1 one survived or a decoy was reported, 2 usage or input, 3 some
    could not be tried.
    """
    from orchestrator.bundle.build import default_source
    from orchestrator.engine.score import Asked
    from orchestrator.engine.score import score as ask
    from orchestrator.model.race import there
    from orchestrator.model.units import UnitError, duration
    from orchestrator.report.score import lines, scoreboard

    try:
        seconds = duration(budget)
    except UnitError as e:
        raise InputError(f"--budget {budget}", str(e), e.hint) from e
    if seconds <= 0:
        raise InputError(f"--budget {budget}", "no time at all", "such as 10s")
    if keep is not None:
        try:
            keep.open("a").close()
        except OSError as e:
            raise InputError(f"--keep {keep}", f"cannot be written: {e.strerror}") from e
    chosen = _detectors(detectors, there())
    asked = Asked(
        chosen, range(1, seeds + 1), seconds, jobs or os.cpu_count() or 1, only or (), mutants, decoys, keep
    )
    # whoever ends this ends the trials too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        board = scoreboard(_shown(ask(default_source(), asked)), chosen)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(board))
    else:
        for line in lines(board):
            typer.echo(line)
    total = board["total"]
    bad = total["killed"] < total["planted"] or total["false_alarms"]
    raise typer.Exit(EXIT_VIOLATED if bad else EXIT_UNKNOWN if total["unusable"] else EXIT_OK)


def _detectors(asked: list[str] | None, known: list[str]) -> list[str]:
    from orchestrator.model.names import unknown

    for name in asked or ():
        if name not in known:
            what, hint = unknown("detector", name, known)
            raise InputError(f"--detector {name}", what, hint)
    return asked or known


def _shown(records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What comes, on standard error too, where somebody may be waiting."""
    for r in records:
        if r["type"] == "trial":
            word = f"killed in {r['seconds']:.3g} s: {r['report']}" if r["killed"] else "not killed"
            print(
                f"orch: {r['mutant']}, {r['detector']}, seed {r['seed']}: {word}", file=sys.stderr, flush=True
            )
        elif r["type"] == "void":
            print(
                f"orch: {r['detector']} is void for {r['subject']}: {r['report']}",
                file=sys.stderr,
                flush=True,
            )
        yield r
