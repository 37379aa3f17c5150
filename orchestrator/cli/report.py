"""`orch report RUN`: everything computed anew from the run folder, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.results.folder import RunFolder
    from orchestrator.results.rebuild import Rebuilt

Runs = Annotated[Path, typer.Option(envvar="ORCH_RUNS", help="Where run folders lie.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
Run = Annotated[
    str, typer.Argument(help="A run: its id, a unique beginning or end of it, a path, or 'last'.")
]


def report(run: Run = "last", runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Rebuild a run's tables and report from its journals.

    Offline; exits as the run did.

    Works after the controller was killed: a journal that was cut loses the launch it was cut in,
    and no other.
    """
    from orchestrator.results.folder import RunFolder
    from orchestrator.results.rebuild import rebuild

    folder = RunFolder.open(runs, run)
    rebuilt = rebuild(folder)
    answer(folder, rebuilt, as_json=as_json)
    raise typer.Exit(rebuilt.exit_code)


def answer(folder: RunFolder, rebuilt: Rebuilt, *, as_json: bool) -> None:
    """Print what a run gave, on standard output."""
    if as_json:
        import json

        from orchestrator.report.summary import summary

        typer.echo(json.dumps(summary(rebuilt, folder), allow_nan=False))
        return
    from orchestrator.report.terminal import console_for, render

    render(rebuilt, folder, console_for())
