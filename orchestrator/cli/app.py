"""The command line: parsing, printing and exit codes. Heavy packages are imported inside commands only."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from orchestrator import __version__
from orchestrator.cli import bundle, check, held, hosts, lab, plan, race, report, results, run, watch
from orchestrator.cli.output import outlive_readers
from orchestrator.errors import EXIT_CODES, EXIT_INTERNAL, EXIT_INTERRUPTED, OrchError

_EPILOG = "Exit codes: " + " · ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())

app = typer.Typer(
    name="orch",
    help="Stress-test lock-free code on a fleet of NUMA hosts, and say what the result is worth.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes 100 ms to draw boxes around a help text
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(run.app, name="run")
app.command("check")(check.check)
app.command("plan")(plan.plan)
app.add_typer(hosts.app, name="hosts")
hosts.app.command("release")(held.release)
app.add_typer(results.app, name="results")
app.command("report")(report.report)
app.command("resume")(run.resume)
app.command("watch")(watch.watch)
app.add_typer(race.app, name="race")
app.command("replay")(race.replay)
app.add_typer(bundle.app, name="bundle")
app.add_typer(lab.app, name="lab")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"orch {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if debug:
        os.environ["ORCH_DEBUG"] = "1"


def main() -> None:
    """Entry point of `orch`. The only place that catches OrchError."""
    outlive_readers()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SystemExit as e:
        if e.code != EXIT_INTERRUPTED:
            raise
        # threads may still wait for a host that says nothing: nobody waits for them
        sys.stderr.flush()
        os._exit(EXIT_INTERRUPTED)
    except OrchError as e:
        if os.environ.get("ORCH_DEBUG"):
            import traceback

            traceback.print_exc()
        _complain(str(e))
        sys.exit(e.exit_code)
    except Exception as e:  # noqa: BLE001 - the last door: an error of ours gets its own exit code
        if os.environ.get("ORCH_DEBUG"):
            import traceback

            traceback.print_exc()
        _complain(f"internal error: {type(e).__name__}: {e} (run again with --debug for the traceback)")
        sys.exit(EXIT_INTERNAL)


def _complain(text: str) -> None:
    for line in text.splitlines():
        print(f"orch: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
