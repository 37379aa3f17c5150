"""Looking on: what `orch watch` says of runs that go on, have ended, or were left."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import run_folders as rf
import typer
from typer.testing import CliRunner, Result

from agents.wire import entry_line
from orchestrator.cli.watch import Watcher, watch
from orchestrator.errors import EXIT_UNKNOWN, EXIT_VIOLATED, InputError
from orchestrator.results.folder import RunFolder
from orchestrator.results.rebuild import rebuild
from orchestrator.results.tail import Tail

app = typer.Typer()
app.command()(watch)


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words])


@contextmanager
def driven(folder: RunFolder) -> Iterator[None]:
    """As whoever drives a run holds its folder."""
    with folder.plan.open() as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def test_a_run_that_has_ended_gives_its_verdict_and_its_code(tmp_path: Path) -> None:
    steps = [rf.step(), rf.step(number=1)]
    builder = rf.Builder.make(tmp_path, rf.plan(steps)).passed(steps[0])
    builder.launch(steps[1], rf.launch_entries(steps[1], records=[rf.hello(steps[1]), rf.violation()]))
    rebuild(builder.say("step_done", steps[1]).finish())
    said = call("--runs", tmp_path)
    assert said.exit_code == EXIT_VIOLATED
    assert "ended, violated; 2 of 2 steps over (1 done, 1 failed)" in said.stdout
    once = json.loads(call("--runs", tmp_path, "--once", "--json").stdout)
    assert (once["state"], once["exit_code"], once["verdict"]) == ("ended", EXIT_VIOLATED, "violated")
    assert once["hosts"]["h1"]["steps_over"] == 2


def test_a_run_that_nobody_drives_any_more_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    step = rf.step()
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    builder.launch(step, rf.launch_entries(step)[:3])
    journal = builder.folder.controller_journal
    os.utime(journal, (time.time() - 60,) * 2)
    said = call("--runs", tmp_path)
    assert said.exit_code == EXIT_UNKNOWN
    assert "nobody drives it any more; 0 of 1 steps over" in said.stdout
    assert f"orch run resume {builder.folder.id}" in said.stdout


def test_what_is_written_meanwhile_is_shown_and_the_end_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [rf.step(number=n) for n in range(2)]
    plan = rf.plan(steps)
    builder = rf.Builder.make(tmp_path, plan).passed(steps[0], [2e6])
    watcher, codes = Watcher(builder.folder, plan), []
    with driven(builder.folder):
        looking = threading.Thread(target=lambda: codes.append(watcher.follow()))
        looking.start()
        wait_until(lambda: watcher.shown.quiet is False)
        entries = rf.launch_entries(steps[1], records=rf.good_records(steps[1], 3e6))
        builder.launch(steps[1], entries[:4])
        wait_until(lambda: watcher.shown.hosts["h1"].step.startswith(steps[1].id))
        builder.launch(steps[1], entries[4:]).say("step_done", steps[1])
        rebuild(builder.finish())
    looking.join(60)
    said = capsys.readouterr().out
    assert codes == [0]
    assert "1 of 2 steps over (1 done)" in said
    assert f"{steps[1].id} launch 0: 3 Mops/s" in said
    assert f"{steps[0].id} launch 0" not in said, "what was over before is not told line by line"
    assert "ended, holds; 2 of 2 steps over (2 done)" in said


def test_a_line_that_is_half_written_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    step = rf.step()
    plan = rf.plan([step])
    builder = rf.Builder.make(tmp_path, plan)
    tail = Tail(builder.folder, plan)
    assert [e.kind for _, e in tail.read()] == ["run_started", "host"]
    line = entry_line(rf.launch_entries(step)[0])
    path = f"journal/h1/{step.id}.ndjson"
    builder.raw(path, line[:30])
    assert not list(tail.read())
    builder.raw(path, line[30:])
    assert [e.kind for _, e in tail.read()] == ["started"]
    assert not list(tail.read())


def test_looking_at_a_run_keeps_nobody_from_going_on_with_it(tmp_path: Path) -> None:
    builder = rf.Builder.make(tmp_path, rf.plan([rf.step()]))
    with builder.folder.plan.open() as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        threading.Timer(0.06, lambda: fcntl.flock(f, fcntl.LOCK_UN)).start()
        for _ in range(100):  # the timer may be late on a busy machine
            try:
                with builder.folder.held():
                    return
            except InputError:
                time.sleep(0.05)
    pytest.fail("never held")


def test_what_cannot_be_looked_at_is_one_line() -> None:
    assert isinstance(call("nope", "--runs", "/nonexistent").exception, InputError)
    assert isinstance(call("--json", "--runs", "/nonexistent").exception, InputError)
    refused = call("--once", "--metrics", "0", "--runs", "/nonexistent").exception
    assert isinstance(refused, InputError)
    assert "--once" in str(refused.hint)


def wait_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
