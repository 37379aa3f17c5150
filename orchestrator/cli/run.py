"""`orch run playbook FILE` and `orch run workload NAME`: one path for both; `orch run resume RUN`: its rest."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from orchestrator.cli.outlets import Metrics, outlets
from orchestrator.errors import EXIT_INTERRUPTED, InputError, InputErrors

if TYPE_CHECKING:
    from orchestrator.engine.session import Request, RunObserver
    from orchestrator.run import Ran

app = typer.Typer(help="Run a playbook, or one ad-hoc workload.", no_args_is_help=True)

Inventory = Annotated[
    str | None,
    typer.Option("-i", "--inventory", help="Inventory file, or lab:NAME. Without it: this machine."),
]
Limit = Annotated[str | None, typer.Option(help="Only hosts that match this pattern, e.g. 'numa:!h3'.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE; for a playbook a variable, for a workload a setting."),
]
Runs = Annotated[Path, typer.Option(envvar="ORCH_RUNS", help="Where run folders lie.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
Forks = Annotated[int, typer.Option(min=1, max=256, help="Hosts that are contacted at the same time.")]
Patience = Annotated[
    float,
    typer.Option(min=0, help="Seconds to wait for a host that is out of reach, or has no room on its disk."),
]


@app.command("playbook")
def playbook(
    file: Annotated[Path | None, typer.Argument(help="The playbook; none with --resume.")] = None,
    inventory: Inventory = None,
    limit: Limit = None,
    sets: Sets = None,
    check: Annotated[bool, typer.Option("--check", help="Validate and plan only; run nothing.")] = False,
    resume_: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Go on with that run instead, as it was planned."),
    ] = None,
    runs: Runs = Path("runs"),
    forks: Forks = 32,
    patience: Patience = 30.0,
    metrics: Metrics = None,
    as_json: Json = False,
) -> None:
    """Build, ship, run, and judge what the playbook says; the results lie in runs/<id>/.

    Exit codes: 0 all hold, 1 violated or failed, 2 usage or input, 3 unknown or a host was lost,
    4 halted by a stop condition, 130 interrupted.
    """
    if resume_ is not None:
        if file is not None or check or inventory or limit or sets:
            raise InputError(
                "--resume",
                "goes on with a run as it was planned, and takes no playbook, inventory or variable",
            )
        resume(resume_, runs=runs, forks=forks, patience=patience, metrics=metrics, as_json=as_json)
        return
    if file is None:
        raise InputError("orch run playbook", "which playbook?", "orch run playbook FILE, or --resume RUN")
    if check:
        from orchestrator.cli.plan import plan

        plan(file, inventory=inventory, limit=limit, sets=sets, forks=forks, as_json=as_json)
        return
    from orchestrator.engine.session import Request

    _go(
        Request(
            playbook=file,
            inventory=inventory_file(inventory),
            limit=limit,
            sets=pairs(sets),
            runs=runs,
            argv=tuple(sys.argv[1:]),
            forks=forks,
            patience_s=patience,
        ),
        as_json,
        metrics,
    )


@app.command("workload")
def workload(
    name: Annotated[str, typer.Argument(help="A workload: native or command; or the name of a bench.")],
    inventory: Inventory = None,
    limit: Limit = None,
    threads: Annotated[int, typer.Option(min=1, help="Measured threads.")] = 1,
    placement: Annotated[
        str, typer.Option(help="compact | scatter | remote | smt | node:K | nodes:N | cpus:LIST | none")
    ] = "compact",
    mem: Annotated[str | None, typer.Option(help="local | interleave | node:K")] = None,
    seconds: Annotated[str, typer.Option(help="Length of the measured window, e.g. 5s.")] = "5s",
    warmup: Annotated[str, typer.Option(help="Before it, not measured.")] = "1s",
    launches: Annotated[int, typer.Option(min=1, help="How often it is launched.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Of the first launch; each further one adds 1.")] = None,
    variant: Annotated[str, typer.Option(help="release | noise | poison | asan | tsan")] = "release",
    sets: Sets = None,
    runs: Runs = Path("runs"),
    forks: Forks = 32,
    patience: Patience = 30.0,
    metrics: Metrics = None,
    as_json: Json = False,
) -> None:
    """The same path for one ad-hoc step, e.g. `orch run workload capability_churn --threads 2 --seed 7`."""
    from agents.workloads import TABLE
    from orchestrator.engine.session import Request

    settings: dict[str, Any] = {k: _scalar(v) for k, v in pairs(sets).items()}
    if name not in TABLE:
        settings["bench"], name = name, "native"
    job: dict[str, Any] = {
        "name": str(settings.get("bench", name)),
        "workload": name,
        "with": settings,
        "threads": threads,
        "placement": placement,
        "variant": variant,
        "measure": {"warmup": warmup, "seconds": seconds},
        "launches": {"min": launches, "max": launches},
        "judge": [{"exposure": {}}],
    }
    if mem is not None:
        job["mem"] = mem
    book: dict[str, Any] = {
        "orch": 1,
        "name": job["name"],
        "bundle": {"source": "native", "variants": [variant]},
        "hosts": "all",
        "jobs": [job],
    }
    if seed is not None:
        # as it is, not as something to derive from: it repeats the launch that had it
        book["seed"] = job["seed"] = seed
    _go(
        Request(
            playbook=json.dumps(book, indent=1),
            inventory=inventory_file(inventory),
            limit=limit,
            runs=runs,
            argv=tuple(sys.argv[1:]),
            forks=forks,
            patience_s=patience,
        ),
        as_json,
        metrics,
    )


@app.command("resume")
def resume(
    run: Annotated[str, typer.Argument(help="Its id, a part of it, a path, or `last`.")],
    runs: Runs = Path("runs"),
    forks: Forks = 32,
    patience: Patience = 30.0,
    metrics: Metrics = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was interrupted or lost hosts: its missing steps, in its own folder, as they were planned.

    Exit codes: as of `orch run playbook`.
    """
    from orchestrator.cli.report import answer

    ran = go_on(run, rest_of(runs, forks, patience), as_json, metrics)
    answer(ran.folder, ran.rebuilt, as_json=as_json)
    raise typer.Exit(ran.exit_code)


def rest_of(runs: Path, forks: int, patience: float = 30.0) -> Request:
    from orchestrator.engine.session import Request

    return Request(playbook="", runs=runs, argv=tuple(sys.argv[1:]), forks=forks, patience_s=patience)


def pairs(sets: list[str] | None) -> dict[str, str]:
    """``["a=1"]`` → ``{"a": "1"}``. Raises all errors at once."""
    errors = [InputError(f"--set {s}", "is not KEY=VALUE") for s in sets or [] if "=" not in s]
    if errors:
        raise InputErrors(errors)
    return dict(s.split("=", 1) for s in sets or [])


def _scalar(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value


def inventory_file(text: str | None) -> Path | None:
    from orchestrator.lab import inventory_path

    return inventory_path(text) if text is not None else None


class _Interrupts:
    """Ctrl-C once asks, twice leaves at once. SIGTERM and SIGHUP ask, as the end of a session would.

    As long as nobody has called `heard` there is no run that could be stopped in order, and once leaves too.
    """

    def __init__(self) -> None:
        self._asked = False
        self._is_polled = False

    def heard(self) -> bool:
        """Whether it was asked to end. Whoever calls this has taken it upon himself to end in order."""
        self._is_polled = True
        return self._asked

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            print(
                "orch: left; `orch report last` rebuilds what the journals hold", file=sys.stderr, flush=True
            )
            os._exit(EXIT_INTERRUPTED)
        self._asked = True
        if not self._is_polled:
            raise KeyboardInterrupt


def go(request: Request, as_json: bool, metrics: str | None = None) -> Ran:
    """The run, with progress on standard error. Leaves with 130 where it was interrupted before there was a plan."""
    from orchestrator.run import execute

    return _shown(lambda *watched: execute(request, *watched), as_json, metrics)


def go_on(name: str, request: Request, as_json: bool, metrics: str | None = None) -> Ran:
    """The rest of a run, likewise."""
    from orchestrator.results.folder import RunFolder
    from orchestrator.resume import resume as rest

    # hosts of a lab are reached from inside that lab
    inventory_file(str(RunFolder.open(request.runs, name).path / "inventory.yml"))
    return _shown(lambda *watched: rest(name, request, *watched), as_json, metrics)


def _shown(run: Callable[[RunObserver, Callable[[], bool]], Ran], as_json: bool, metrics: str | None) -> Ran:
    from orchestrator.cli.progress import progress

    observer = progress(as_json)
    with outlets(observer, metrics), _Interrupts() as interrupts:
        try:
            ran = run(observer, interrupts.heard)
        except KeyboardInterrupt:
            observer.stage("interrupted before there was a plan: nothing was run, nothing written on a host")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        finally:
            observer.close()
        rebuilt = ran.rebuilt
        observer.run = ran.folder.id
        observer.tell(
            "run_ended", str(rebuilt.verdict), verdict=str(rebuilt.verdict), exit_code=ran.exit_code
        )
    return ran


def _go(request: Request, as_json: bool, metrics: str | None) -> None:
    from orchestrator.cli.report import answer

    ran = go(request, as_json, metrics)
    answer(ran.folder, ran.rebuilt, as_json=as_json)
    raise typer.Exit(ran.exit_code)
