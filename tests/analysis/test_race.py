"""What a search for races gives: one finding per subject, by all detectors together, and never clean without a bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import run_folders as rf

from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import JudgeSpec, StepPlan
from orchestrator.results.rebuild import Rebuilt, rebuild

TSAN = """\
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 8 at 0x1 by thread T2:
    #0 deque_grow native/kernel/deque.c:10 (x+0x1)

  Previous read of size 8 at 0x1 by thread T1:
    #0 deque_take native/kernel/deque.c:20 (x+0x2)

SUMMARY: ThreadSanitizer: data race native/kernel/deque.c:10 in deque_grow
""".splitlines()

TOKEN = "0123456789abcdef:deque:deque_pair:rotate:c11:293:0:-"


def explored(number: int, scenario: str = "deque_pair", subject: str = "deque", host: str = "h1") -> StepPlan:
    cell = {"detector": "explore", "subject": subject, "scenario": scenario, "strategy": "rotate"}
    return rf.step("j", number, host, cell=cell, bench=scenario, variant="explore", workload="race")


def stressed(number: int, detector: str = "tsan", subject: str = "deque", host: str = "h1") -> StepPlan:
    cell = {"detector": detector, "subject": subject, "bench": "deque_steal"}
    return rf.step("j", number, host, cell=cell, bench="deque_steal", variant=detector, workload="race")


def gate(number: int, detector: str = "tsan") -> StepPlan:
    cell = {"detector": detector, "gate": "baseline_task_churn"}
    return rf.step("j", number, cell=cell, bench="baseline_task_churn", variant=detector, workload="race")


def violation(**given: Any) -> dict[str, Any]:
    base = rf.violation("race", "race: plain read of 0x7f by thread 1, and an access that nothing orders")
    return {**base, "token": TOKEN, "trace": ["0 load", "1 store"], **given}


class Case:
    """Steps of one race job, and how the launch of each went."""

    def __init__(self, root: Path, *steps: StepPlan) -> None:
        judges = [JudgeSpec("race", {})]
        self.builder = rf.Builder.make(root, rf.plan(steps, [rf.job("j", workload="race", judges=judges)]))

    def clean(self, step: StepPlan, operations: int = 1000, executions: int | None = None) -> Case:
        result = rf.result(operations)
        counter = {"type": "counter", "name": "executions", "value": executions, "unit": "1"}
        records = [rf.hello(step), *([] if executions is None else [counter]), result]
        self.builder.launch(step, rf.launch_entries(step, records=records)).say("step_done", step)
        return self

    def bad(
        self, step: StepPlan, *records: dict[str, Any], stderr: Sequence[str] = (), status: int = 66
    ) -> Case:
        word = "violated" if any(r["type"] == "violation" for r in records) else "ok"
        made = [rf.hello(step), *records, rf.result(status=word)]
        entries = rf.launch_entries(step, records=made, end=rf.ended(exit=status), stderr=stderr)
        self.builder.launch(step, entries).say("step_done", step)
        return self

    def done(self) -> Rebuilt:
        return rebuild(self.builder.finish())


def races(rebuilt: Rebuilt) -> list[Finding]:
    return [f for f in rebuilt.findings if f.analysis == "race"]


def test_a_clean_subject_says_what_it_went_through_and_what_that_excludes(tmp_path: Path) -> None:
    one, two = explored(0), stressed(1)
    (found,) = races(Case(tmp_path, one, two).clean(one, 7, executions=200_000).clean(two, 1_000_000).done())
    assert found.verdict is Verdict.HOLDS
    assert "2e+05 executions of 1 scenario, 1e+06 operations" in found.summary
    assert "under explore, tsan" in found.summary
    assert "at 99% confidence fewer than 2.3e-05 per execution and 4.61e-06 per operation" in found.summary
    assert found.high == pytest.approx(4.60517 / (2.0 / 3600), rel=1e-4)


def test_an_explorer_of_which_no_execution_ended_has_seen_nothing(tmp_path: Path) -> None:
    one, two = explored(0), explored(1, "deque_stuck")
    (found,) = races(Case(tmp_path, one, two).clean(one, 7, executions=7).clean(two, 0, executions=0).done())
    assert found.verdict is Verdict.UNKNOWN
    assert "none found in 7 executions of" in found.summary
    assert "1 step of explore in which no execution came to its end" in found.summary


def test_several_subjects_are_told_in_all_with_the_bound(tmp_path: Path) -> None:
    one, two, three = explored(0), explored(1, "reclaim_pair", "reclaim"), stressed(2)
    case = Case(tmp_path, one, two, three).clean(one, executions=400_000).clean(two, executions=600_000)
    found, *_ = races(case.clean(three).done())
    assert (found.subject, found.verdict, found.value) == ("j in all", Verdict.HOLDS, 1e6)
    assert "none found in 1,000,000 executions of 2 scenarios of 2 subjects" in found.summary
    assert "at 99% confidence fewer than 4.61e-06 per execution" in found.summary


def test_what_was_found_in_one_subject_is_counted_in_all(tmp_path: Path) -> None:
    one, two = explored(0), explored(1, "reclaim_pair", "reclaim")
    found, *_ = races(
        Case(tmp_path, one, two).bad(one, violation(), status=1).clean(two, executions=10).done()
    )
    assert (found.subject, found.verdict) == ("j in all", Verdict.UNKNOWN)
    assert "1 found beside 10 executions of 1 scenario of 2 subjects" in found.summary


def test_a_race_is_one_finding_whichever_detectors_saw_it(tmp_path: Path) -> None:
    one, two = explored(0), stressed(1)
    rebuilt = Case(tmp_path, one, two).bad(one, violation(), status=1).bad(two, stderr=TSAN).done()
    (found,) = races(rebuilt)
    assert found.verdict is Verdict.VIOLATED
    assert found.subject == "j deque data race: deque_grow / deque_take"
    assert "found by explore, tsan" in found.summary
    assert f"orch replay {TOKEN}" in found.summary
    assert any("0 load\n1 store" in e.text for e in found.evidence)
    assert rebuilt.exit_code == 1


def test_what_is_of_another_kind_or_place_is_another_finding(tmp_path: Path) -> None:
    one, two, three = explored(0), stressed(1), stressed(2)
    other = [line.replace("deque_grow", "ring_free").replace("deque_take", "ring_read") for line in TSAN]
    case = Case(tmp_path, one, two, three).bad(
        one, violation(contract="S1", evidence="a task ran twice"), status=1
    )
    subjects = {f.subject for f in races(case.bad(two, stderr=TSAN).bad(three, stderr=other).done())}
    assert subjects == {
        "j deque S1",
        "j deque data race: deque_grow / deque_take",
        "j deque data race: ring_free / ring_read",
    }


def test_a_detector_that_reports_code_with_locks_is_void_and_accuses_nobody(tmp_path: Path) -> None:
    first, one, two = gate(0), stressed(1), explored(2)
    case = Case(tmp_path, first, one, two).bad(first, stderr=TSAN).bad(one, stderr=TSAN)
    void, found = races(case.clean(two, executions=1000).done())
    assert (void.verdict, found.verdict) == (Verdict.UNKNOWN, Verdict.UNKNOWN)
    assert "tsan is void behind baseline_task_churn" in void.summary
    assert "none found in 1e+03 executions" in found.summary
    assert "void: tsan" in found.summary


def test_a_subject_of_which_nothing_was_seen_is_unknown(tmp_path: Path) -> None:
    one = stressed(0)
    case = Case(tmp_path, one)
    case.builder.say("step_failed", one, "variant tsan cannot be built: no compiler")
    (found,) = races(case.done())
    assert found.verdict is Verdict.UNKNOWN
    assert "nothing was exposed" in found.summary
    assert "1 step of tsan failed: variant tsan cannot be built" in found.summary


def test_a_subject_of_which_a_part_was_lost_is_unknown_with_what_there_is(tmp_path: Path) -> None:
    one, two = stressed(0), stressed(1, "asan")
    case = Case(tmp_path, one, two).clean(one)
    case.builder.say("step_lost", two, "host gone")
    (found,) = races(case.done())
    assert found.verdict is Verdict.UNKNOWN
    assert "none found in 1e+03 operations" in found.summary
    assert "1 step of asan lost: host gone" in found.summary


def test_a_program_that_crashes_is_found_by_the_name_of_its_signal(tmp_path: Path) -> None:
    one = stressed(0, "plain")
    case = Case(tmp_path, one)
    case.builder.launch(
        one, rf.launch_entries(one, records=[rf.hello(one)], end=rf.ended(exit=None, signal=11))
    )
    case.builder.say("step_done", one)
    (found,) = races(case.done())
    assert found.verdict is Verdict.VIOLATED
    assert "SIGSEGV" in found.subject


def test_each_subject_is_judged_by_its_own_steps(tmp_path: Path) -> None:
    one, two = explored(0), explored(1, "reclaim_pair", "reclaim")
    case = Case(tmp_path, one, two).bad(one, violation(), status=1).clean(two, executions=10)
    verdicts = {f.subject.split()[1]: f.verdict for f in races(case.done())}
    assert verdicts == {"deque": Verdict.VIOLATED, "reclaim": Verdict.HOLDS, "in": Verdict.UNKNOWN}


def test_nothing_else_judges_the_contracts_of_a_race_job(tmp_path: Path) -> None:
    one = explored(0)
    rebuilt = Case(tmp_path, one).bad(one, violation(), status=1).done()
    assert {f.analysis for f in rebuilt.findings if f.verdict is Verdict.VIOLATED} == {"accounting", "race"}


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("a worker did not come to its end within 20 s of the end of the window: stuck", Verdict.VIOLATED),
        ("memory exhausted: 4 threads", Verdict.UNKNOWN),
    ],
)
def test_a_worker_that_hangs_is_a_report_and_a_program_that_could_not_work_is_none(
    tmp_path: Path, message: str, verdict: Verdict
) -> None:
    one = stressed(0, "plain")
    case = Case(tmp_path, one)
    records = [rf.hello(one), rf.result(status="error", message=message)]
    case.builder.launch(one, rf.launch_entries(one, records=records, end=rf.ended(exit=1)))
    case.builder.say("step_done", one)
    (found,) = races(case.done())
    assert found.verdict is verdict
    assert message in found.summary


def recorded(number: int) -> StepPlan:
    cell = {"detector": "linearizability", "subject": "deque", "bench": "history_deque"}
    return rf.step("j", number, "h1", cell=cell, bench="history_deque", variant="release", workload="race")


def window(number: int, ret: list[int], last: bool = True) -> dict[str, Any]:
    calls = [("push", [1, 2], None, 0, 10), ("steal", None, ret, 20, 30)]
    ops = [
        {"t": t, "op": op, "obj": 0, "arg": arg, "ret": ret, "inv": inv, "res": res}
        for t, (op, arg, ret, inv, res) in enumerate(calls)
    ]
    return {"type": "history", "spec": "deque", "window": number, "ops": ops, "last": last}


def test_a_history_that_cannot_have_happened_is_a_race_of_its_subject(tmp_path: Path) -> None:
    case = Case(tmp_path, stressed(0), recorded(1)).clean(stressed(0))
    step = recorded(1)
    records = [rf.hello(step), window(0, [1, 2]), window(1, [7]), rf.result(10)]
    case.builder.launch(step, rf.launch_entries(step, records=records)).say("step_done", step)
    (found,) = races(case.done())
    assert found.verdict is Verdict.VIOLATED
    assert "not linearizable; found by linearizability on h1 in 1 launch" in found.summary
    assert "steal" in found.evidence[0].text


def test_a_window_that_cannot_be_judged_leaves_its_subject_unknown(tmp_path: Path) -> None:
    case = Case(tmp_path, recorded(0))
    step = recorded(0)
    records = [rf.hello(step), window(0, [1, 2], last=False), rf.result(10)]
    case.builder.launch(step, rf.launch_entries(step, records=records)).say("step_done", step)
    (found,) = races(case.done())
    assert found.verdict is Verdict.UNKNOWN
    assert "could not be judged" in found.summary


def test_a_crash_is_shown_with_where_its_threads_were(tmp_path: Path) -> None:
    step = stressed(0, "plain")
    case = Case(tmp_path, step)
    end = rf.ended(exit=None, signal=11)
    entries = rf.launch_entries(step, records=[rf.hello(step)], end=end, notes=["backtrace: #0 deque_pop ()"])
    case.builder.launch(step, entries).say("step_done", step)
    (found,) = races(case.done())
    assert found.verdict is Verdict.VIOLATED
    assert "#0 deque_pop ()" in found.evidence[0].text


def test_a_write_into_poisoned_memory_is_a_use_after_free(tmp_path: Path) -> None:
    step = stressed(0, "poison")
    said = ["poison: byte 8 of a block of 24 was written after the block was freed"]
    (found,) = races(Case(tmp_path, step).bad(step, stderr=said).done())
    assert found.summary.startswith("use after free; found by poison")
