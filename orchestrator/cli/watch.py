"""`orch watch RUN`: how far a run is, from any terminal, read from its folder alone."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.outlets import Metrics
from orchestrator.errors import EXIT_INTERRUPTED, EXIT_UNKNOWN, InputError
from orchestrator.results.clocks import clock_offsets

if TYPE_CHECKING:
    from agents.wire import Entry
    from orchestrator.cli.progress import Progress
    from orchestrator.model.plan import Plan, StepPlan
    from orchestrator.report.board import HostState
    from orchestrator.results.folder import RunFolder

TURN_S = 0.25
#: A run whose folder nobody holds for this long, though it has not ended, is driven by nobody.
NOBODY_S = 3.0

Runs = Annotated[Path, typer.Option(envvar="ORCH_RUNS", help="Where run folders lie.")]
Run = Annotated[
    str, typer.Argument(help="A run: its id, a unique beginning or end of it, a path, or 'last'.")
]


def watch(
    run: Run = "last",
    runs: Runs = Path("runs"),
    once: Annotated[bool, typer.Option("--once", help="Say how far it is, and leave.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: one JSON object.")] = False,
    metrics: Metrics = None,
) -> None:
    """Look on while a run goes on: hosts, jobs, rates, health, and what is left.

    Reads the run folder and disturbs nobody; may be started and left at any time, by anybody who may read the folder.
    A live table on a terminal, plain lines otherwise.

    Exits as the run did once it has ended; with 3 where nobody drives it any more; with 130 after Ctrl-C, which ends
    the looking on and not the run. With --once 0.
    """
    from orchestrator.results.folder import RunFolder
    from orchestrator.results.rebuild import load_plan

    if as_json and not once:
        raise InputError("--json", "is for a single look", "give --once, too")
    if metrics is not None and once:
        raise InputError("--metrics", "has nobody to serve after a single look", "leave --once out")
    folder = RunFolder.open(runs, run)
    watcher = Watcher(folder, load_plan(folder))
    if once:
        watcher.look()
        typer.echo(json.dumps(watcher.snapshot()) if as_json else "\n".join(watcher.lines()))
        return
    endpoint = None
    if metrics is not None:
        from orchestrator.report.openmetrics import Endpoint

        endpoint = Endpoint(watcher.shown, metrics)
        typer.echo(f"metrics: {endpoint.url}", err=True)
    try:
        code = watcher.follow()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    finally:
        watcher.close()
        if endpoint is not None:
            endpoint.close()
    raise typer.Exit(code)


class Watcher:
    """One run folder, looked at again and again."""

    def __init__(self, folder: RunFolder, plan: Plan) -> None:
        from orchestrator.cli.progress import LiveTable, Plain
        from orchestrator.results.tail import Tail

        self.folder = folder
        live = sys.stdout.isatty()
        self.shown: Progress = LiveTable(sys.stdout, "") if live else Plain(sys.stdout, "")
        self._plan = plan
        self._tail = Tail(folder, plan)
        #: host → its clock minus ours, seconds
        self._offsets: dict[str, float] = {}
        self._over = False
        self._alone_since: float | None = None
        self.shown.quiet = True

    def look(self) -> None:
        """Take in what is new."""
        if not self.shown.hosts:
            self.shown.planned(self._plan, self.folder.id)
        for step, entry in self._tail.read():
            if step is not None:
                self.shown.took(step.host, step.job, step.id, entry, self._at(step, entry))
            else:
                self._heard(entry)

    def _at(self, step: StepPlan, entry: Entry) -> float:
        """When the entry was written, on this machine's monotonic clock."""
        age = time.time() - (entry.t - self._offsets.get(step.host, 0.0))
        return time.monotonic() - max(0.0, age)

    def _heard(self, entry: Entry) -> None:
        if entry.kind == "run_started":
            self._over = False
        elif entry.kind == "run_ended":
            self._over = True
        self._offsets.update(clock_offsets([entry]))
        self.shown.note(entry.kind, entry.data)

    def follow(self) -> int:
        """Until it has ended, or until nobody drives it; the exit code."""
        self.look()
        self.shown.quiet = False
        if self.state() == "running":
            self.shown.say(f"run {self.folder.id}: {self._how_far()}")
        while self.state() == "running":
            self.look()
            self.shown.turn()
            time.sleep(TURN_S)
        self.look()
        self.close()
        for line in self.lines():
            typer.echo(line)
        return self._code()

    def state(self) -> str:
        """running | ended | abandoned"""
        from orchestrator.results.tail import is_driven

        try:
            driven = is_driven(self.folder)
        except OSError as e:
            raise InputError(str(self.folder.path), f"the run folder is gone: {e.strerror}") from e
        if driven:
            self._alone_since = None
            return "running"
        if self._over:
            return "ended"
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now - self._since_last_word()
        return "abandoned" if now - self._alone_since > NOBODY_S else "running"

    def _since_last_word(self) -> float:
        """Seconds since the controller wrote anything into the folder."""
        journal = self.folder.controller_journal
        written = journal if journal.is_file() else self.folder.plan
        return max(0.0, time.time() - written.stat().st_mtime)

    def snapshot(self) -> dict[str, Any]:
        hosts = {
            name: {
                "state": host.state,
                "step": host.step,
                "launches": host.launches,
                "ops_per_second": host.ops_per_second,
                "left_s": round(self.shown.remaining(host), 1),
                "bad": host.bad,
                "health": host.health,
                "troubles": host.troubles,
                "steps": host.steps,
                "steps_over": len(host.ends),
                "vitals": host.vitals,
            }
            for name, host in self.shown.hosts.items()
        }
        state = self.state()
        return {
            "run": self.folder.id,
            "state": state,
            "left_s": round(self.shown.left(), 1) if state == "running" else 0.0,
            "steps": self.shown.counts(),
            "exit_code": self._finding("exit_code") if state == "ended" else None,
            "verdict": self._finding("verdict") if state == "ended" else None,
            "hosts": hosts,
        }

    def lines(self) -> list[str]:
        """How far it is, for a person."""
        state, name = self.state(), f"run {self.folder.id}"
        if state == "running":
            return [f"{name}: {self._how_far()}", *(_of(h, x) for h, x in self.shown.hosts.items())]
        if state == "abandoned":
            return [
                f"{name}: nobody drives it any more; {self._how_far()}",
                f"go on with it: orch run resume {self.folder.id} · what there is: orch report {self.folder.id}",
            ]
        verdict = self._finding("verdict")
        if verdict is None:
            return [f"{name}: ended without a report; orch report {self.folder.id} makes it"]
        return [
            f"{name}: ended, {verdict}; {_counted(self.shown.counts())}; orch results show {self.folder.id}"
        ]

    def _how_far(self) -> str:
        from orchestrator.cli.progress import in_words

        return f"{_counted(self.shown.counts())}; about {in_words(self.shown.left())} left"

    def _finding(self, key: str) -> Any:
        from orchestrator.results.folder import read_json

        try:
            return read_json(self.folder.findings).get(key)
        except InputError:
            return None

    def _code(self) -> int:
        code = self._finding("exit_code") if self.state() == "ended" else None
        return code if isinstance(code, int) else EXIT_UNKNOWN

    def close(self) -> None:
        self.shown.close()


def _of(name: str, host: HostState) -> str:
    from orchestrator.cli.progress import health_of

    parts = [host.state, f"{host.launches} launches", host.rate or "no rate yet", health_of(host)]
    parts += [f"{host.bad} bad"] if host.bad else []
    return f"  {name}: {', '.join(part for part in parts if part)}"


def _counted(counts: dict[str, int]) -> str:
    """``3 of 8 steps over (2 done, 1 failed)``"""
    ended = {name: n for name, n in counts.items() if n and name != "planned"}
    told = ", ".join(f"{n} {name}" for name, n in ended.items())
    return f"{sum(ended.values())} of {counts['planned']} steps over" + (f" ({told})" if told else "")
