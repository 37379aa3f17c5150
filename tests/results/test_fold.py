from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import run_folders as rf
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.wire import Entry, entry_line
from orchestrator.model.outcome import Outcome, Status
from orchestrator.model.plan import Launches, Plan
from orchestrator.results.fold import NEVER_STARTED, fold
from orchestrator.results.folder import JournalFault
from orchestrator.results.journals import Journals, read_journals
from orchestrator.results.launch import Ending, Launch, classify
from orchestrator.results.ledger import StepLog, ingest

STEP = rf.step()


def controller(*kinds: tuple[str, dict[str, Any]]) -> list[Entry]:
    return [Entry(n, 0, rf.T0 + n, float(n), kind, data) for n, (kind, data) in enumerate(kinds)]


def done(of: Any = STEP, **more: Any) -> tuple[str, dict[str, Any]]:
    return "step_done", {"host": of.host, "job": of.job, "step": of.id, "reason": "", **more}


def said(kind: str, reason: str = "because", of: Any = STEP, **more: Any) -> tuple[str, dict[str, Any]]:
    return kind, {"host": of.host, "job": of.job, "step": of.id, "reason": reason, **more}


def one(entries: list[Entry | JournalFault], *kinds: tuple[str, dict[str, Any]], of: Any = STEP) -> Outcome:
    plan = rf.plan([of])
    steps = {of.id: ingest(entries, of.id)} if entries else {}
    return fold(plan, Journals(controller(("run_started", {}), *kinds), [], steps)).outcomes[0]


def good(number: int = 0) -> list[Entry | JournalFault]:
    return [*rf.launch_entries(STEP, number)]


def launched(entries: list[Entry], of: Any = STEP) -> Launch:
    log = ingest(entries, of.id)
    return classify(of, 0, log.launches[0], [f.what for f in log.faults])


def test_a_step_that_is_done_with_good_launches_passed() -> None:
    outcome = one(good() + good(1), done())
    assert (outcome.status, outcome.launches, outcome.launches_ok) == (Status.PASSED, 2, 2)
    assert outcome.started == rf.T0
    assert outcome.ended is not None
    assert outcome.ended > rf.T0


def test_good_launches_without_the_controllers_word_are_lost() -> None:
    outcome = one(good())
    assert outcome.status is Status.LOST
    assert "the run ended before the step was done" in outcome.reason


def test_a_step_of_which_nothing_is_recorded_is_lost_as_never_started() -> None:
    assert one([]).status is Status.LOST
    assert one([]).reason == NEVER_STARTED


def test_an_interrupted_run_leaves_its_other_steps_stopped() -> None:
    outcome = one([], ("interrupted", {"signal": "SIGINT"}))
    assert (outcome.status, outcome.reason) == (Status.STOPPED, "interrupted")


def test_a_lost_host_makes_its_steps_lost_even_in_an_interrupted_run() -> None:
    outcome = one([], ("host", {"host": "h1", "status": "lost", "reason": "refused"}), ("interrupted", {}))
    assert (outcome.status, outcome.reason) == (Status.LOST, "host lost: refused")


@pytest.mark.parametrize(
    ("given", "status"), [({"skip": "16 CPUs"}, Status.SKIPPED), ({"lost": "no route"}, Status.LOST)]
)
def test_what_the_plan_says_of_a_step_stands(given: dict[str, Any], status: Status) -> None:
    outcome = one([], done(), of=dataclasses.replace(STEP, **given))
    assert (outcome.status, outcome.reason) == (status, next(iter(given.values())))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("step_failed", Status.FAILED),
        ("step_lost", Status.LOST),
        ("step_stopped", Status.STOPPED),
        ("step_skipped", Status.SKIPPED),
    ],
)
def test_the_controllers_word_gives_status_and_reason(kind: str, status: Status) -> None:
    outcome = one(good(), said(kind, "needs build"))
    assert (outcome.status, outcome.reason) == (status, "needs build")


def test_a_launch_that_was_given_up_is_lost_though_the_step_is_said_to_be_done() -> None:
    outcome = one(good(), said("launch_lost", "link gone", launch=0), done())
    assert outcome.status is Status.LOST
    assert "link gone" in outcome.reason


def test_a_resumed_run_takes_the_word_of_its_last_session() -> None:
    words = [said("launch_lost", launch=0), said("step_lost"), ("run_started", {}), done()]
    assert one(good(), *words).status is Status.PASSED


CUT = rf.launch_entries(STEP, 0, None, {})
STOPPED = rf.launch_entries(STEP, 0, None, {"reason": "stopped", "exit": 0, "signal": None})


@pytest.mark.parametrize("first", [CUT, STOPPED])
def test_a_launch_that_was_made_again_counts_for_nothing(first: list[Entry]) -> None:
    again = said("launch_again", "stopped when the run was", launch=0)
    words = [said("step_lost"), ("run_started", {}), again, done(launches=2)]
    outcome = one([*first, *good(1)], *words)
    assert (outcome.status, outcome.launches, outcome.launches_ok) == (Status.PASSED, 2, 1)
    assert outcome.reason.startswith("1 launch ok")
    later = one([*first, *good(1)], *words, ("run_started", {}), done(launches=2))
    assert later.status is Status.PASSED, "no later session takes that back"
    alone = one([*first], *words[:3], done(launches=1))
    assert alone.status is Status.LOST


def test_a_violation_stands_though_its_launch_was_made_again() -> None:
    bad = rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.violation()], {})
    words = [("run_started", {}), said("launch_again", launch=0), done(launches=2)]
    assert one([*bad, *good(1)], *words).status is Status.FAILED


def test_within_one_session_the_worst_word_counts() -> None:
    assert one(good(), done(), said("step_lost")).status is Status.LOST
    assert one(good(), said("step_lost"), done()).status is Status.LOST


def test_a_failed_launch_weighs_more_than_a_lost_one() -> None:
    bad = rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.violation()], {})
    outcome = one([*bad], said("launch_lost", launch=0), said("step_lost"))
    assert outcome.status is Status.FAILED
    assert "C1" in outcome.reason


def test_done_with_fewer_launches_than_asked_is_lost_unless_a_stop_ended_the_job() -> None:
    step = dataclasses.replace(STEP, launches=Launches(min=3, max=3))
    assert one(good(), done(), of=step).status is Status.LOST
    stop = ("stop", {"job": step.job, "stop": "duration", "reason": "2 s", "verdict": "passed"})
    assert one(good(), stop, done(), of=step).status is Status.PASSED


def test_done_with_fewer_launches_than_the_controller_counted_is_lost() -> None:
    assert one(good(), done(launches=2)).status is Status.LOST
    assert one(good() + good(1), done(launches=2)).status is Status.PASSED


def test_done_with_a_launch_missing_in_between_is_lost() -> None:
    assert one(good() + good(2), done()).status is Status.LOST


def test_done_without_any_launch_is_lost_or_stopped_where_the_job_ended_before_it_began() -> None:
    assert one([], done()).status is Status.LOST
    stop = ("stop", {"job": STEP.job, "stop": "duration", "reason": "2 s", "verdict": "passed"})
    assert one([], stop, done()).status is Status.STOPPED


ENDINGS: list[tuple[str, Ending, str, Callable[[], list[Entry]]]] = [
    ("good", Ending.OK, "ok", lambda: rf.launch_entries(STEP)),
    (
        "violation",
        Ending.VIOLATED,
        "C1",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.violation(), rf.result(status="violated")]),
    ),
    (
        "counted_violation",
        Ending.VIOLATED,
        "3 violation",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.result(violations=3)]),
    ),
    (
        "segfault",
        Ending.CRASHED,
        "SIGSEGV",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP)], rf.ended(exit=None, signal=11)),
    ),
    (
        "segfault_after_result",
        Ending.CRASHED,
        "SIGSEGV",
        lambda: rf.launch_entries(STEP, 0, None, rf.ended(exit=None, signal=11)),
    ),
    (
        "hang",
        Ending.TIMEOUT,
        "time limit",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP)], rf.ended(reason="timeout", signal=9)),
    ),
    (
        "memory",
        Ending.MEMORY,
        "memory",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP)], rf.ended(reason="memory", signal=9)),
    ),
    (
        "flood",
        Ending.OUTPUT,
        "flooded",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP)], rf.ended(reason="output", signal=9)),
    ),
    (
        "start_failed",
        Ending.NOT_STARTED,
        "could not be started",
        lambda: rf.launch_entries(STEP, 0, [], rf.ended(reason="start_failed", exit=None)),
    ),
    ("exit_2", Ending.NO_RESULT, "status 2", lambda: rf.launch_entries(STEP, 0, [], rf.ended(exit=2))),
    (
        "garbage",
        Ending.GARBAGE,
        "garbage",
        lambda: rf.launch_entries(STEP, 0, [], rf.ended(garbage=1), output=["%$!"]),
    ),
    (
        "truncated",
        Ending.GARBAGE,
        "cut short",
        lambda: rf.launch_entries(STEP, 0, None, rf.ended(truncated=True)),
    ),
    (
        "misshapen",
        Ending.GARBAGE,
        "result.metrics",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.result(metrics="none")]),
    ),
    (
        "infinite",
        Ending.GARBAGE,
        "finite",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP), {**rf.result(), "seconds": float("inf")}]),
    ),
    ("no_hello", Ending.GARBAGE, "hello", lambda: rf.launch_entries(STEP, 0, [rf.result()])),
    (
        "other_protocol",
        Ending.GARBAGE,
        "protocol",
        lambda: rf.launch_entries(STEP, 0, [{**rf.hello(STEP), "protocol": 9}, rf.result()]),
    ),
    (
        "error",
        Ending.ERROR,
        "no memory",
        lambda: rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.result(status="error", message="no memory")]),
    ),
    (
        "exit_after_result",
        Ending.EXIT,
        "status 1",
        lambda: rf.launch_entries(STEP, 0, None, rf.ended(exit=1)),
    ),
    (
        "stopped",
        Ending.STOPPED,
        "stopped",
        lambda: rf.launch_entries(
            STEP, 0, [rf.hello(STEP), rf.result(status="stopped")], rf.ended(reason="stopped")
        ),
    ),
    ("torn", Ending.LOST, "before its end", lambda: rf.launch_entries(STEP, 0, None, {})),
    ("gap", Ending.LOST, "entries missing: 2", lambda: _without(rf.launch_entries(STEP), 2)),
    ("no_start", Ending.LOST, "entries missing: 0", lambda: rf.launch_entries(STEP)[1:]),
]


def _without(entries: list[Entry], seq: int) -> list[Entry]:
    return [e for e in entries if e.seq != seq]


@pytest.mark.parametrize(("ending", "word", "make"), [e[1:] for e in ENDINGS], ids=[e[0] for e in ENDINGS])
def test_how_a_launch_ended_is_told_in_words(
    ending: Ending, word: str, make: Callable[[], list[Entry]]
) -> None:
    launch = launched(make())
    assert launch.ending is ending
    assert word in launch.reason


@pytest.mark.parametrize(("ending", "make"), [(e[1], e[3]) for e in ENDINGS], ids=[e[0] for e in ENDINGS])
def test_no_ending_but_ok_or_a_stop_with_a_result_lets_a_step_pass(
    ending: Ending, make: Callable[[], list[Entry]]
) -> None:
    status = one([*make()], done()).status
    assert (status is Status.PASSED) == (ending in (Ending.OK, Ending.STOPPED))
    assert (status is Status.LOST) == (ending is Ending.LOST)


def test_a_stop_that_gave_no_result_fails_a_step_that_is_said_to_be_done() -> None:
    entries = rf.launch_entries(STEP, 0, [rf.hello(STEP)], rf.ended(reason="stopped", signal=9))
    assert one([*entries], done()).status is Status.FAILED
    assert one([*entries], said("step_stopped")).status is Status.STOPPED


def test_garbage_beside_a_whole_result_is_no_pass() -> None:
    launch = launched(rf.launch_entries(STEP, 0, None, rf.ended(garbage=7), output=["%$!", "?"]))
    assert launch.ending is Ending.GARBAGE
    assert "7 line(s)" in launch.reason
    assert "'%$!'" in launch.reason


def test_a_command_may_print_beside_its_records() -> None:
    step = dataclasses.replace(STEP, workload="command")
    launch = launched(rf.launch_entries(step, output=["debug: here"]), step)
    assert launch.ending is Ending.OK
    assert launch.warnings


def test_what_a_program_says_on_standard_error_is_no_garbage() -> None:
    assert launched(rf.launch_entries(STEP, stderr=["note"])).warnings == []


@pytest.mark.parametrize(("code", "ending"), [(0, Ending.OK), (3, Ending.EXIT)])
def test_a_command_that_prints_no_record_is_judged_by_its_exit_status(code: int, ending: Ending) -> None:
    step = dataclasses.replace(STEP, workload="command")
    assert launched(rf.launch_entries(step, 0, [], rf.ended(exit=code), output=["hi"]), step).ending is ending


def test_a_repeated_entry_is_taken_once() -> None:
    entries = rf.launch_entries(STEP)
    log = ingest([*entries, *entries[2:]], STEP.id)
    assert log.launches[0] == entries
    assert log.repeated == len(entries) - 2
    assert log.faults == []


def test_two_entries_with_one_number_make_the_launch_lost() -> None:
    entries = rf.launch_entries(STEP)
    other = dataclasses.replace(entries[2], t=entries[2].t + 1)
    assert one([*entries, other], done()).status is Status.LOST


def test_an_entry_of_another_step_makes_the_launch_lost() -> None:
    other = rf.step(number=9)
    assert one([*rf.launch_entries(other)], done()).status is Status.LOST


@pytest.mark.parametrize("at", range(8))
def test_a_line_that_cannot_be_read_makes_a_launch_lost_wherever_it_stands(at: int) -> None:
    lines: list[Entry | JournalFault] = good()
    assert len(lines) == 8
    lines.insert(at, JournalFault(Path("j"), at + 1, "wrong checksum"))
    assert one(lines, done()).status is Status.LOST


def test_a_line_that_cannot_be_read_after_the_last_launch_lets_nothing_pass() -> None:
    fault = JournalFault(Path("j"), 9, "cut")
    assert one([*good(), fault], done()).status is Status.LOST


def test_a_damaged_line_between_two_launches_counts_against_the_second() -> None:
    second = rf.launch_entries(STEP, 1)
    log = ingest([*good(), JournalFault(Path("j"), 9, "wrong checksum"), *second[1:]], STEP.id)
    assert {f.launch for f in log.faults} == {1}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), launches=st.integers(1, 3))
def test_no_prefix_of_the_journals_passes_unless_every_end_and_the_word_are_in_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, launches: int
) -> None:
    step = dataclasses.replace(STEP, launches=Launches(min=launches, max=launches))
    whole = "".join(entry_line(e) for n in range(launches) for e in rf.launch_entries(step, n)).encode()
    words = "".join(map(entry_line, controller(("run_started", {}), done(step), ("run_ended", {})))).encode()
    lines = words.splitlines(keepends=True)
    word_at = len(lines[0] + lines[1])
    cut = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))), label="journal bytes")
    told = data.draw(st.one_of(st.just(len(words)), st.integers(0, len(words))), label="controller bytes")
    builder = rf.Builder.make(tmp_path_factory.mktemp("run"), rf.plan([step]))
    builder.folder.controller_journal.write_bytes(words[:told])
    if cut:
        builder.folder.append(step.host, step.id, whole[:cut])
    plan = rf.plan([step])
    outcome = fold(plan, read_journals(builder.folder, plan)).outcomes[0]
    assert (outcome.status is Status.PASSED) == (cut == len(whole) and told >= word_at)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0), bit=st.integers(0, 7))
def test_no_changed_bit_of_a_journal_passes(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    whole = bytearray("".join(map(entry_line, rf.launch_entries(STEP))).encode())
    whole[at % len(whole)] ^= 1 << bit
    plan = rf.plan([STEP])
    builder = rf.Builder.make(tmp_path_factory.mktemp("run"), plan)
    builder.folder.append(STEP.host, STEP.id, bytes(whole))
    builder.say("step_done", STEP)
    assert fold(plan, read_journals(builder.folder, plan)).outcomes[0].status is Status.LOST


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["step_done", "step_lost", "step_failed", "step_stopped", "launch_lost", "interrupted"]
            ),
            st.integers(0, 2),
        ),
        max_size=6,
    )
)
def test_every_planned_step_ends_exactly_once_whatever_the_controller_said(
    words: list[tuple[str, int]],
) -> None:
    steps = [rf.step(number=n) for n in range(3)]
    plan: Plan = rf.plan(steps)
    told = controller(*(said(kind, of=steps[n], launch=0) for kind, n in words))
    logs: dict[str, StepLog] = {s.id: ingest(rf.launch_entries(s), s.id) for s in steps}
    outcomes = fold(plan, Journals(told, [], logs)).outcomes
    assert [o.step for o in outcomes] == [s.id for s in steps]
    assert all(o.reason for o in outcomes)


def broken(entries: list[Entry], text: str = "Oops: 0002 [#1]") -> list[Entry | JournalFault]:
    """The same launch, on a host that was found broken just before its end."""
    *before, last = entries
    told = {"level": "broken", "what": "oops", "text": text}
    health = dataclasses.replace(last, kind="health", data=told)
    return [*before, health, dataclasses.replace(last, seq=last.seq + 1)]


def test_what_a_broken_host_reports_accuses_nobody() -> None:
    bad = broken(rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.violation()]))
    outcome = one(bad, said("step_invalid", "invalid: Oops: 0002 [#1]"))
    assert outcome.status is Status.INVALID
    assert outcome.reason == "launch 0: the host is broken: Oops: 0002 [#1]"


def test_what_failed_while_the_host_was_sound_stays_failed() -> None:
    bad = rf.launch_entries(STEP, 0, [rf.hello(STEP), rf.violation()])
    outcome = one([*bad, *broken(rf.launch_entries(STEP, 1))], said("step_invalid"))
    assert outcome.status is Status.FAILED


def test_steps_that_a_broken_host_never_began_are_invalid_too() -> None:
    assert one([], said("step_invalid", "invalid: Oops")).status is Status.INVALID


def test_launches_made_on_the_host_once_it_is_sound_count() -> None:
    before = broken(rf.launch_entries(STEP, 0))
    again: tuple[str, dict[str, Any]] = ("run_started", {})
    after = rf.launch_entries(STEP, 1)
    assert one([*before, *after], said("step_invalid"), again, done(launches=2)).status is Status.PASSED
    assert one(before, said("step_invalid"), again, done(launches=1)).status is Status.INVALID
