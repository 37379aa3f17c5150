"""`orch race score`: what would have been found."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.engine.score import Asked

from orchestrator.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_UNKNOWN, EXIT_VIOLATED, InputError

DETECTED = "explore | tsan | asan | noise | stutter | poison | plain | linearizability"


def score(
    detectors: Annotated[
        list[str] | None,
        typer.Option("--detector", help=f"{DETECTED}; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trials of each mutant with each detector.")] = 5,
    budget: Annotated[str, typer.Option(help="Most CPU time of one trial by the explorer.")] = "10s",
    stress: Annotated[str, typer.Option(help="Longest time of one trial by any other detector.")] = "2s",
    only: Annotated[list[str] | None, typer.Option(help="This mutant alone; may be repeated.")] = None,
    mutants: Annotated[
        Path | None, typer.Option(help="Folder of patches; without it those of the source tree.")
    ] = None,
    decoys: Annotated[Path | None, typer.Option(help="Folder of patches that are correct.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="File of answers: those in it are not asked for again, new ones are added."),
    ] = None,
    known: Annotated[
        bool, typer.Option("--known", help="Show what the file of answers has, and try nothing.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option(help="Write the scoreboard there, as a page of the documentation.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Mutants at a time; without it one per CPU.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Plant every known fault, let every detector look for it, and say who found what, and how soon.

    Exit codes: 0 every fault was killed and no decoy, 1 one survived or a decoy was reported, 2 usage or input, 3 some
    could not be tried, or are missing.
    """
    from orchestrator.bundle.build import default_source
    from orchestrator.engine.score import Asked
    from orchestrator.engine.score import score as ask
    from orchestrator.model.race import there
    from orchestrator.report.score import lines, scoreboard

    budget_s, stress_s = _seconds("--budget", budget), _seconds("--stress", stress)
    _check_files(keep, page, known=known)
    chosen = _detectors(detectors, there())
    asked = Asked(
        chosen,
        range(1, seeds + 1),
        budget_s,
        stress_s,
        jobs or os.cpu_count() or 1,
        only or (),
        mutants,
        decoys,
        keep,
    )
    # whoever ends this ends the trials too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        answers = _kept(keep) if known else _shown(ask(default_source(), asked))
        board = scoreboard(answers, chosen)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if page is not None:
        _write(page, board, asked)
    if as_json:
        typer.echo(json.dumps(board))
    else:
        for line in lines(board):
            typer.echo(line)
    total = board["total"]
    open_ = total["unusable"] or total["missing"] or not (total["planted"] or total["decoys"])
    bad = total["killed"] < total["planted"] or total["false_alarms"]
    raise typer.Exit(EXIT_VIOLATED if bad else EXIT_UNKNOWN if open_ else EXIT_OK)


def _detectors(asked: list[str] | None, known: list[str]) -> list[str]:
    from orchestrator.model.names import unknown

    for name in asked or ():
        if name not in known:
            what, hint = unknown("detector", name, known)
            raise InputError(f"--detector {name}", what, hint)
    return asked or known


def _seconds(option: str, text: str) -> float:
    from orchestrator.model.units import UnitError, duration

    try:
        seconds = duration(text)
    except UnitError as e:
        raise InputError(f"{option} {text}", str(e), e.hint) from e
    if seconds <= 0:
        raise InputError(f"{option} {text}", "no time at all", "such as 10s")
    return seconds


def _check_files(keep: Path | None, page: Path | None, *, known: bool) -> None:
    """Before hours are spent: what is to be read is an earlier answer, and what is to be written can be."""
    if page is not None and (page.is_dir() or not page.parent.is_dir()):
        what = "is a folder" if page.is_dir() else "its folder is not there"
        raise InputError(f"--page {page}", what, "name a file")
    if keep is None:
        if known:
            raise InputError("--known", "there is no file of answers", "--keep FILE")
        return
    if known and not keep.is_file():
        raise InputError(f"--keep {keep}", "is not there: nothing is known")
    try:
        with keep.open("r" if known else "a+") as f:
            f.seek(0)
            lines = f.read().splitlines()
    except (OSError, UnicodeDecodeError) as e:
        what = (
            f"cannot be {'read' if known else 'written'}: {e.strerror}"
            if isinstance(e, OSError)
            else "is no text"
        )
        raise InputError(f"--keep {keep}", what) from e
    for number, line in enumerate(lines[:-1], 1):  # the last one may have been cut off
        if not line.startswith("{") or '"type"' not in line:
            raise InputError(
                f"--keep {keep}:{number}", "is no answer of `orch race score`", "name a file of its own"
            )


def _kept(keep: Path | None) -> Iterator[dict[str, Any]]:
    for line in keep.read_text().splitlines() if keep is not None else ():
        with contextlib.suppress(ValueError):  # the last one may have been cut off
            value = json.loads(line)
            if isinstance(value, dict) and "type" in value:
                yield value


def _write(page: Path, board: dict[str, Any], asked: Asked) -> None:
    import datetime as dt

    from orchestrator.bundle.build import default_source
    from orchestrator.report.score_page import page as page_of

    git = ["git", "-C", str(default_source()), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    about = {
        "day": dt.datetime.now(dt.UTC).date().isoformat(),
        "sources": f"commit {commit or 'not known'}",
        "machine": f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2g} when this was written",
        "trials": f"up to {len(asked.seeds)} seeds, at most {asked.budget_s:g} CPU seconds each by the explorer and {asked.stress_s:g} s by any other, "
        f"{asked.jobs} at a time",
    }
    try:
        page.write_text(page_of(board, about))
    except OSError as e:
        raise InputError(f"--page {page}", f"cannot be written: {e.strerror}") from e


def _shown(records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What comes, on standard error too, where somebody may be waiting."""
    from orchestrator.model.units import in_words

    for r in records:
        if r["type"] == "trial":
            word = f"killed in {r['seconds']:.3g} s: {r['report']}" if r["killed"] else "not killed"
            print(
                f"orch: {r['mutant']}, {r['detector']}, seed {r['seed']}: {word}", file=sys.stderr, flush=True
            )
        elif r["type"] == "plan":
            print(
                f"orch: {r['faults']} faults, {r['trials']} trials, {r['kept']} of them known: "
                f"about {in_words(r['about_s'])}, at most {in_words(r['most_s'])}",
                file=sys.stderr,
                flush=True,
            )
        elif r["type"] == "void":
            print(
                f"orch: {r['detector']} is void for {r['subject']}: {r['report']}",
                file=sys.stderr,
                flush=True,
            )
        yield r
