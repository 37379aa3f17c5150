"""Where a resumed run goes on, and what it makes again."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_units import line, step

from agents.wire import Entry
from orchestrator.engine.resume import made_again, progress_of
from orchestrator.results.folder import RunFolder
from orchestrator.resume import cut_short

STEP = step("a", "h")


def folder(tmp_path: Path, *lines: bytes) -> RunFolder:
    made = RunFolder.create(tmp_path, "made-up")
    made.write("plan.json", "{}")
    made.append(STEP.host, STEP.id, b"".join(lines))
    return made


def launch(number: int, reason: str = "exited") -> list[bytes]:
    """Three lines: begun, one of output, ended."""
    rest = [line(number, 1, "output", text="x"), line(number, 2, "ended", reason=reason, exit=0)]
    return [line(number, 0, "started"), *rest]


def again(run: RunFolder) -> list[tuple[int, str]]:
    return [(about["launch"], about["reason"]) for about in cut_short(run, [STEP])]


def test_what_ended_stands_and_what_has_no_end_is_gone_on_with_from_its_last_byte(tmp_path: Path) -> None:
    run = folder(tmp_path, *launch(0), *launch(1)[:2])
    known = progress_of(run, STEP.host, STEP.id)
    assert [e.launch for e in known.entries] == [0, 0, 0]
    assert (known.launch, known.offset) == (1, sum(map(len, launch(1)[:2])))
    assert again(run) == [], "its host knows more"


@pytest.mark.parametrize("first", [launch(0, "stopped"), launch(0)[:2]])
def test_a_launch_that_was_made_again_is_passed_over(tmp_path: Path, first: list[bytes]) -> None:
    run = folder(tmp_path, *first, *launch(1)[:1])
    known = progress_of(run, STEP.host, STEP.id, {0})
    assert known.entries == ()
    assert (known.launch, known.offset) == (1, len(launch(1)[0]))
    alone = progress_of(folder(tmp_path, *first), STEP.host, STEP.id, {0})
    assert (alone.launch, alone.offset) == (1, 0)


@pytest.mark.parametrize("reason", ["stopped", "disk", "error", "alone"])
def test_what_ended_through_no_doing_of_its_own_is_made_again_once(tmp_path: Path, reason: str) -> None:
    run = folder(tmp_path, *launch(0), *launch(1, reason))
    ((number, why),) = again(run)
    assert number == 1
    assert why
    run.note(
        "launch_again", {"host": STEP.host, "job": STEP.job, "step": STEP.id, "launch": 1, "reason": why}
    )
    assert again(run) == []


@pytest.mark.parametrize("reason", ["exited", "timeout", "memory", "output"])
def test_what_a_program_has_done_itself_stands(tmp_path: Path, reason: str) -> None:
    assert again(folder(tmp_path, *launch(0, reason))) == []


def test_a_launch_with_a_damaged_line_is_made_again(tmp_path: Path) -> None:
    lines = launch(0)
    lines[1] = lines[1].replace(b'"x"', b'"y"')
    assert [number for number, _ in again(folder(tmp_path, *lines))] == [0]


def test_the_controllers_journal_says_which_launches_count_for_nothing() -> None:
    notes = [Entry(0, 0, 1.0, 1.0, "launch_again", {"step": "s", "launch": n}) for n in (0, 2)]
    assert made_again([*notes, Entry(2, 0, 1.0, 1.0, "step_done", {"step": "s"})]) == {"s": {0, 2}}
