"""What every analysis promises, and what each one says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import run_folders as rf
from run_folders import by

import orchestrator.analysis as analysis
from orchestrator.analysis import ALWAYS, ANALYSES, SHAPES, check_judge, judge
from orchestrator.analysis.parameters import Parameters
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.plan import JudgeSpec, Launches, Plan
from orchestrator.results.rebuild import Rebuilt, rebuild
from orchestrator.results.schema import frame
from orchestrator.results.tables import Tables, findings_frame
from orchestrator.stops.launches import LaunchPolicy

PARAMETERS: dict[str, dict[str, Any]] = {
    "accounting": {},
    "contracts": {},
    "crashes": {},
    "scaling": {"metric": "ops_per_second"},
    "compare": {"metric": "ops_per_second", "axis": "bench", "base": "baseline_check"},
    "paired": {"metric": "ns_per_op", "base": "ops_per_second"},
    "drift": {"metric": "ops_per_second"},
    "exposure": {"confidence": "99%"},
    "linearizability": {"confidence": "99%"},
    "race": {"confidence": "99%"},
    "placed": {"least": "90%"},
    "restored": {},
    "stability": {"metric": "ops_per_second", "ci": "2%"},
}
#: Those that say nothing where there is nothing of what they look for.
SILENT = ("crashes", "restored")

Rates = dict[tuple[str, int], Sequence[float]]
STEADY = (0.99, 1.0, 1.01, 1.0, 0.995)


def run(tmp_path: Path, rates: Rates, *judges: JudgeSpec, **given: Any) -> Rebuilt:
    """One job on one host: (bench, threads) → rates of its launches; no rate: a lost step."""
    steps = [
        rf.step("j", n, cell={"bench": b, "threads": t}, bench=b, threads=t, **given)
        for n, (b, t) in enumerate(rates)
    ]
    builder = rf.Builder.make(tmp_path, rf.plan(steps, [rf.job("j", judges=list(judges))]))
    for step, of in zip(steps, rates.values(), strict=True):
        if of:
            builder.passed(step, of)
        else:
            builder.say("step_lost", step, "gone")
    return rebuild(builder.finish())


def times(rate: float, factors: Sequence[float] = STEADY) -> list[float]:
    return [rate * f for f in factors]


# -- the contract of every member ------------------------------------------------------------------


def sample(tmp_path: Path) -> Rebuilt:
    rates: Rates = {(b, t): times(1e6 * t) for b in ("capability_check", "baseline_check") for t in (1, 2)}
    return run(tmp_path, rates)


def empty_tables(plan: Plan) -> Tables:
    return {
        name: frame(name, [])
        for name in (
            "runs",
            "hosts",
            "steps",
            "samples",
            "intervals",
            "histograms",
            "latencies",
            "histories",
            "events",
            "vitals",
        )
    }


def test_every_analysis_has_parameters_and_a_case_here() -> None:
    assert set(ANALYSES) == set(SHAPES) == set(PARAMETERS)
    assert set(ALWAYS) <= set(ANALYSES)


def test_every_analysis_is_a_file_of_its_own_name() -> None:
    folder = Path(str(analysis.__file__)).parent
    assert all((folder / f"{name}.py").is_file() for name in ANALYSES)


@pytest.mark.parametrize("name", ANALYSES)
def test_what_was_measured_gives_findings_under_its_own_name(tmp_path: Path, name: str) -> None:
    rebuilt = sample(tmp_path)
    found = ANALYSES[name](rebuilt.tables, rebuilt.plan, rebuilt.plan.jobs[0], PARAMETERS[name])
    assert found or name == "restored"
    assert {f.analysis for f in found} <= {name}
    assert all(f.summary and f.subject for f in found)
    assert len(findings_frame("r", found)) == len(found)


@pytest.mark.parametrize("name", ANALYSES)
def test_nothing_measured_never_holds(tmp_path: Path, name: str) -> None:
    plan = sample(tmp_path).plan
    found = ANALYSES[name](empty_tables(plan), plan, plan.jobs[0], PARAMETERS[name])
    assert all(f.verdict is Verdict.UNKNOWN for f in found)
    assert found or name in SILENT


@pytest.mark.parametrize("name", ANALYSES)
def test_a_lost_step_never_holds(tmp_path: Path, name: str) -> None:
    rebuilt = run(tmp_path, {("capability_check", 1): [], ("capability_check", 2): []})
    found = ANALYSES[name](rebuilt.tables, rebuilt.plan, rebuilt.plan.jobs[0], PARAMETERS[name])
    assert not any(f.verdict is Verdict.HOLDS for f in found)


@pytest.mark.parametrize("name", ANALYSES)
def test_the_same_tables_give_the_same_findings_and_stay_as_they_are(tmp_path: Path, name: str) -> None:
    rebuilt = sample(tmp_path)
    before = {n: t.copy() for n, t in rebuilt.tables.items()}
    again = [ANALYSES[name](rebuilt.tables, rebuilt.plan, None, PARAMETERS[name]) for _ in range(2)]
    assert again[0] == again[1]
    for n, table in rebuilt.tables.items():
        assert table.equals(before[n])


@pytest.mark.parametrize("name", ANALYSES)
def test_a_parameter_that_it_does_not_know_is_said(name: str) -> None:
    wrong = check_judge(JudgeSpec(name, {**PARAMETERS[name], "metrik": 1}))
    assert any("unknown parameter 'metrik'" in w for w in wrong)
    assert check_judge(JudgeSpec(name, PARAMETERS[name])) == []


def test_an_unknown_analysis_is_said_with_those_that_there_are() -> None:
    assert "scaling" in check_judge(JudgeSpec("scalling"))[0]


def test_an_analysis_that_crashes_is_unknown_and_leaves_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[Finding]:
        raise KeyError("no such column")

    rebuilt = sample(tmp_path)
    monkeypatch.setitem(ANALYSES, "contracts", broken)
    log: list[str] = []
    found = [f for f in judge(rebuilt.tables, rebuilt.plan, log.append) if f.analysis == "contracts"]
    assert [f.verdict for f in found] == [Verdict.UNKNOWN]
    assert found[0].summary.startswith("analysis crashed: KeyError")
    assert "Traceback" in log[0]


@pytest.mark.parametrize("parameters", [{}, {"metric": ["x"]}, {"metric": "x", "min_efficiency": "120%"}])
def test_wrong_parameters_in_a_plan_are_unknown(tmp_path: Path, parameters: Parameters) -> None:
    rates: Rates = {("capability_check", 1): times(1e6)}
    found = by(run(tmp_path, rates, JudgeSpec("scaling", dict(parameters))), "scaling")
    assert [f.verdict for f in found] == [Verdict.UNKNOWN]


# -- accounting, contracts, crashes ----------------------------------------------------------------


def test_accounting_always_shows_the_denominator(tmp_path: Path) -> None:
    rebuilt = run(tmp_path, {("b", 1): times(1e6), ("b", 2): []})
    found = by(rebuilt, "accounting")[0]
    assert found.summary == "1 of 2 planned cells ran, 1 lost"
    assert (found.value, found.bound, found.verdict) == (1.0, 2.0, Verdict.UNKNOWN)
    assert found.evidence[0].text == "gone"


def test_a_clean_result_is_never_told_without_its_bound(tmp_path: Path) -> None:
    found = by(run(tmp_path, {("b", 1): [1e6, 1e6]}), "contracts")[0]
    bound = -math.log(0.01) / 2e6
    assert found.verdict is Verdict.HOLDS
    assert f"fewer than {bound:.3g} per operation" in found.summary


def test_a_bench_that_checks_no_contract_claims_none(tmp_path: Path) -> None:
    rates: Rates = {("measure", 1): times(1e6)}
    rebuilt = run(tmp_path, rates, rf.judge("exposure", confidence="95%"))
    assert by(rebuilt, "contracts") == []
    (exposure,) = by(rebuilt, "exposure")
    assert exposure.summary.startswith("no crash in 5 launches")
    assert "named no contract" in exposure.summary


def bad_run(tmp_path: Path, records: list[dict[str, Any]], end: dict[str, Any]) -> Rebuilt:
    step = rf.step("j")
    builder = rf.Builder.make(tmp_path, rf.plan([step]))
    builder.launch(step, rf.launch_entries(step, 0, records, end)).say("step_done", step)
    return rebuild(builder.finish())


def test_each_contract_that_broke_is_a_finding_with_its_rows(tmp_path: Path) -> None:
    records = [rf.hello(rf.step("j")), rf.violation("C1"), rf.violation("C5", "created 3, live 2")]
    rebuilt = bad_run(tmp_path, [*records, rf.result(status="violated", violations=9)], rf.ended(exit=1))
    found = by(rebuilt, "contracts")
    assert [(f.subject, f.value) for f in found] == [("j C1", 1.0), ("j C5", 1.0)]
    assert found[1].evidence[0].text == "C5: created 3, live 2"
    assert found[1].evidence[0].seq == 3


def test_a_violation_that_is_only_counted_is_one_all_the_same(tmp_path: Path) -> None:
    rebuilt = bad_run(tmp_path, [rf.hello(rf.step("j")), rf.result(violations=2)], rf.ended())
    found = by(rebuilt, "contracts")
    assert [(f.subject, f.value, f.verdict) for f in found] == [("j not named", 2.0, Verdict.VIOLATED)]


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (rf.ended(exit=None, signal=11), "crashed"),
        (rf.ended(reason="timeout", signal=9), "timeout"),
        (rf.ended(garbage=2), "garbage"),
    ],
)
def test_a_crash_a_hang_and_garbage_are_violations(tmp_path: Path, end: dict[str, Any], kind: str) -> None:
    rebuilt = bad_run(tmp_path, [], end)
    found = by(rebuilt, "crashes")
    assert [(f.subject, f.verdict) for f in found] == [(f"j {kind}", Verdict.VIOLATED)]
    assert "1 of 1 launches" in found[0].summary
    assert rebuilt.exit_code == 1


# -- scaling ---------------------------------------------------------------------------------------


def test_scaling_gives_speedup_and_efficiency_against_the_smallest_count(tmp_path: Path) -> None:
    rates: Rates = {("b", 2): times(2e6), ("b", 8): times(6e6)}
    found = by(run(tmp_path, rates, rf.judge("scaling", metric="ops_per_second")), "scaling")
    assert [f.value for f in found] == [1.0, pytest.approx(3.0)]
    assert "efficiency 0.75" in found[1].summary
    assert found[1].low is not None
    assert found[1].high is not None
    assert found[1].low < 3.0 < found[1].high


@pytest.mark.parametrize(("wanted", "verdict"), [("70%", Verdict.HOLDS), ("80%", Verdict.VIOLATED)])
def test_an_efficiency_that_is_asked_is_held_against_the_interval(
    tmp_path: Path, wanted: str, verdict: Verdict
) -> None:
    rates: Rates = {("b", 1): times(1e6), ("b", 4): times(3e6)}
    spec = rf.judge("scaling", metric="ops_per_second", min_efficiency=wanted)
    assert by(run(tmp_path, rates, spec), "scaling")[1].verdict is verdict


def test_an_efficiency_within_the_interval_is_unknown(tmp_path: Path) -> None:
    rates: Rates = {("b", 1): times(1e6), ("b", 4): times(3e6, (0.8, 0.9, 1.0, 1.1, 1.2))}
    spec = rf.judge("scaling", metric="ops_per_second", min_efficiency="75%")
    assert by(run(tmp_path, rates, spec), "scaling")[1].verdict is Verdict.UNKNOWN


def test_too_few_launches_for_an_interval_are_unknown_and_said(tmp_path: Path) -> None:
    rates: Rates = {("b", 1): [1e6, 1e6], ("b", 2): [2e6, 2e6]}
    found = by(run(tmp_path, rates, rf.judge("scaling", metric="ops_per_second")), "scaling")[1]
    assert found.verdict is Verdict.UNKNOWN
    assert "2 launch(es)" in found.summary


def test_cells_that_were_not_measured_are_one_finding_per_host(tmp_path: Path) -> None:
    rates: Rates = {("b", 1): times(1e6), ("b", 2): [], ("b", 4): []}
    found = by(run(tmp_path, rates, rf.judge("scaling", metric="ops_per_second")), "scaling")
    assert [f.verdict for f in found] == [Verdict.HOLDS, Verdict.UNKNOWN]
    assert "2 cells on h1" in found[1].summary


def test_a_base_that_is_lost_leaves_no_speedup(tmp_path: Path) -> None:
    rates: Rates = {("b", 1): [], ("b", 2): times(1e6)}
    found = by(run(tmp_path, rates, rf.judge("scaling", metric="ops_per_second")), "scaling")
    assert {f.verdict for f in found} == {Verdict.UNKNOWN}


def test_figures_of_a_marked_host_say_so(tmp_path: Path) -> None:
    step = rf.step("j")
    plan = rf.plan([step], [rf.job("j", judges=[rf.judge("scaling", metric="ops_per_second")])])
    builder = rf.Builder.make(tmp_path, plan).facts("h1", virtualisation="qemu-tcg")
    found = by(rebuild(builder.passed(step, times(1e6)).finish()), "scaling")
    assert "emulated" in found[0].summary


# -- compare ---------------------------------------------------------------------------------------

COMPARE = rf.judge("compare", metric="ops_per_second", axis="bench", base="old")


def test_compare_says_better_worse_or_no_difference_shown(tmp_path: Path) -> None:
    rates: Rates = {
        ("old", 1): times(1e6),
        ("old", 2): times(1e6),
        ("old", 4): times(1e6),
        ("new", 1): times(2e6),
        ("new", 2): times(0.5e6),
        ("new", 4): times(1.001e6),
    }
    found = by(run(tmp_path, rates, COMPARE), "compare")
    assert [f.summary.split(": ")[1].split(",")[0] for f in found] == [
        "better",
        "worse",
        "no difference shown",
    ]
    assert "could have been" in found[2].summary
    assert all(f.verdict is Verdict.HOLDS for f in found)


@pytest.mark.parametrize(("count", "said"), [(5, True), (6, False)])
def test_an_interval_from_few_launches_says_so(tmp_path: Path, count: int, said: bool) -> None:
    rates: Rates = {
        (b, 1): [r * (1 + 0.001 * n) for n in range(count)] for b, r in (("old", 1e6), ("new", 2e6))
    }
    found = by(run(tmp_path, rates, COMPARE), "compare")[0]
    assert ("from only 5 launches" in found.summary) == said


def test_for_a_time_less_is_better(tmp_path: Path) -> None:
    spec = rf.judge("compare", metric="ns_per_op", axis="bench", base="old")
    rates: Rates = {("old", 1): times(1e6), ("new", 1): times(2e6)}
    assert "better" in by(run(tmp_path, rates, spec), "compare")[0].summary


@pytest.mark.parametrize(("least", "verdict"), [(1.5, Verdict.HOLDS), (3, Verdict.VIOLATED)])
def test_a_ratio_that_is_asked_is_held_against_the_interval(
    tmp_path: Path, least: float, verdict: Verdict
) -> None:
    spec = rf.judge("compare", metric="ops_per_second", axis="bench", base="old", min_ratio=least)
    rates: Rates = {("old", 1): times(1e6), ("new", 1): times(2e6)}
    assert by(run(tmp_path, rates, spec), "compare")[0].verdict is verdict


def test_a_cell_without_its_base_is_unknown(tmp_path: Path) -> None:
    rates: Rates = {("old", 1): times(1e6), ("new", 2): times(2e6)}
    found = by(run(tmp_path, rates, COMPARE), "compare")
    assert [f.verdict for f in found] == [Verdict.UNKNOWN]


def test_a_base_of_zero_has_no_ratio(tmp_path: Path) -> None:
    rates: Rates = {("old", 1): [0.0, 0.0, 0.0], ("new", 1): times(2e6)}
    found = by(run(tmp_path, rates, COMPARE), "compare")
    assert "is 0" in found[0].summary


def test_two_jobs_can_be_compared(tmp_path: Path) -> None:
    steps = [rf.step("new", 0, bench="a"), rf.step("old", 1, bench="b")]
    spec = rf.judge("compare", metric="ops_per_second", axis="job", base="old")
    plan = rf.plan(steps, [rf.job("new", judges=[spec]), rf.job("old")])
    builder = rf.Builder.make(tmp_path, plan).passed(steps[0], times(3e6)).passed(steps[1], times(1e6))
    found = by(rebuild(builder.finish()), "compare")
    assert [f.value for f in found] == [pytest.approx(3.0)]


# -- exposure and stability ------------------------------------------------------------------------


def test_exposure_gives_the_rate_that_a_clean_run_excludes(tmp_path: Path) -> None:
    rates: Rates = {("b", 1): times(1e6)}
    found = by(run(tmp_path, rates, rf.judge("exposure", confidence="95%")), "exposure")[0]
    assert found.verdict is Verdict.HOLDS
    assert found.value == pytest.approx(-math.log(0.05) / (5 / 3600))
    assert found.summary.startswith("no violation of C1, C5 and no crash in 5 launches")


def test_exposure_says_how_many_more_hours_are_needed(tmp_path: Path) -> None:
    spec = rf.judge("exposure", confidence=0.99, per_hour=1)
    found = by(run(tmp_path, {("b", 1): times(1e6)}, spec), "exposure")[0]
    assert found.verdict is Verdict.UNKNOWN
    assert "4.6 more host-hours" in found.summary


def test_a_run_with_a_failure_is_not_clean(tmp_path: Path) -> None:
    step = rf.step("j")
    plan = rf.plan([step], [rf.job("j", judges=[rf.judge("exposure")])])
    builder = rf.Builder.make(tmp_path, plan)
    builder.launch(step, rf.launch_entries(step, 0))
    builder.launch(step, rf.launch_entries(step, 1, [rf.hello(step)], rf.ended(exit=None, signal=6)))
    found = by(rebuild(builder.say("step_done", step).finish()), "exposure")[0]
    assert found.verdict is Verdict.VIOLATED
    assert found.value == pytest.approx(3600.0)


@pytest.mark.parametrize(
    ("factors", "verdict"), [(STEADY, Verdict.HOLDS), ((0.5, 0.8, 1.0, 1.2, 1.5), Verdict.UNKNOWN)]
)
def test_a_step_that_stayed_unstable_is_unknown_with_its_figure(
    tmp_path: Path, factors: Sequence[float], verdict: Verdict
) -> None:
    launches = Launches(min=3, max=5, metric="ops_per_second", ci=0.02)
    rebuilt = run(tmp_path, {("b", 1): times(1e6, factors)}, JudgeSpec("stability"), launches=launches)
    found = by(rebuilt, "stability")
    assert [f.verdict for f in found] == [verdict]
    assert found[0].bound == 0.02
    assert ("the most that it was given" in found[0].summary) == (verdict is Verdict.UNKNOWN)


def test_stability_without_anything_asked_is_unknown(tmp_path: Path) -> None:
    found = by(run(tmp_path, {("b", 1): times(1e6)}, JudgeSpec("stability")), "stability")
    assert [f.verdict for f in found] == [Verdict.UNKNOWN]


def test_skipped_cells_are_not_missed(tmp_path: Path) -> None:
    steps = [rf.step("j", 0, threads=1), rf.step("j", 1, threads=64, skip="4 CPUs")]
    plan = rf.plan(steps, [rf.job("j", judges=[rf.judge("scaling", metric="ops_per_second")])])
    rebuilt = rebuild(rf.Builder.make(tmp_path, plan).passed(steps[0], times(1e6)).finish())
    assert [f.verdict for f in by(rebuilt, "scaling")] == [Verdict.HOLDS]
    assert rebuilt.exit_code == 0


def test_two_violated_jobs_are_told_apart(tmp_path: Path) -> None:
    steps = [rf.step("a"), dataclasses.replace(rf.step("b"), host="h2", id="b-0000@h2")]
    builder = rf.Builder.make(tmp_path, rf.plan(steps))
    for step in steps:
        records = [rf.hello(step), rf.violation(), rf.result(status="violated", violations=1)]
        builder.launch(step, rf.launch_entries(step, 0, records, rf.ended(exit=1))).say("step_done", step)
    found = by(rebuild(builder.finish()), "contracts")
    assert [(f.subject, f.evidence[0].host) for f in found] == [("a C1", "h1"), ("b C1", "h2")]


def test_a_step_is_judged_stable_where_the_launch_policy_ended_it(tmp_path: Path) -> None:
    launches = Launches(min=3, max=20, metric="ops_per_second", ci=0.02)
    values = times(1e6, [1 + 0.02 * ((n * 7) % 5 - 2) / 2 for n in range(20)])
    step = rf.step("j", launches=launches)
    policy = LaunchPolicy(launches, step.seed)
    made = []
    for number, rate in enumerate(values):
        made.append(rate)
        for entry in rf.launch_entries(step, number, rf.good_records(step, rate)):
            policy.feed(entry)
        if policy.done() is not None:
            break
    assert 3 < len(made) < 20
    plan = rf.plan([step], [rf.job("j", judges=[JudgeSpec("stability")])])
    found = by(rebuild(rf.Builder.make(tmp_path, plan).passed(step, made).finish()), "stability")
    assert [f.verdict for f in found] == [Verdict.HOLDS]


def test_a_command_is_exposed_by_its_launches(tmp_path: Path) -> None:
    step = rf.step("j", workload="command", bench="")
    jobs = [rf.job("j", workload="command", judges=[rf.judge("exposure")])]
    builder = rf.Builder.make(tmp_path, rf.plan([step], jobs))
    builder.launch(step, rf.launch_entries(step, 0, [], output=["hi"])).say("step_done", step)
    rebuilt = rebuild(builder.finish())
    assert rebuilt.exit_code == 0
    assert "per launch" in by(rebuilt, "exposure")[0].summary
    assert by(rebuilt, "contracts") == []
