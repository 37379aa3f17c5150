"""Every stop condition keeps the contract; each has its own meaning; launches end when they may."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from agents.wire import Entry
from orchestrator.model.interval import half_width
from orchestrator.model.outcome import Status
from orchestrator.model.plan import Launches
from orchestrator.stops import ARGUMENTS, STOPS, LaunchPolicy

#: an argument for each member of the table, as a playbook would give it
GIVEN: dict[str, Any] = {"duration": "3s", "violations": 2}


def entry(kind: str, mono: float = 0.0, launch: int = 0, **data: Any) -> Entry:
    return Entry(0, launch, 1e9 + mono, mono, kind, data)


def violation() -> Entry:
    return entry("record", type="violation", contract="C1", evidence="x", t=0.1, thread=0)


def result(value: float = 1.0, status: str = "ok", launch: int = 0, violations: int = 0) -> Entry:
    metrics = [{"metric": "ops_per_second", "value": value, "unit": "1/s"}]
    return entry(
        "record", launch=launch, type="result", status=status, metrics=metrics, violations=violations
    )


def ended(reason: str = "exited", exit_: int = 0, mono: float = 0.0, launch: int = 0) -> Entry:
    return entry("ended", mono, launch, reason=reason, exit=exit_)


STORY = [
    entry("started", 10.0),
    violation(),
    result(violations=1),
    ended(mono=12.0),
    *(violation() for _ in range(3)),
    ended(mono=20.0),
    ended(mono=30.0),
]


@pytest.mark.parametrize("name", sorted(STOPS))
class TestEveryStop:
    def test_it_fires_once_and_the_same_way_for_the_same_story(self, name: str) -> None:
        told = []
        for _ in range(2):
            stop = STOPS[name](ARGUMENTS[name](GIVEN[name]))
            told.append([stop.feed(e, host="h", step="a-0000@h") for e in STORY])
        assert told[0] == told[1]
        decisions = [d for d in told[0] if d is not None]
        assert len(decisions) == 1
        assert decisions[0].reason
        assert decisions[0].verdict in (Status.PASSED, Status.STOPPED)

    def test_it_is_silent_over_entries_that_say_nothing(self, name: str) -> None:
        stop = STOPS[name](ARGUMENTS[name](GIVEN[name]))
        odd = [
            entry("record", type="new"),
            entry("record"),
            entry("vital", x=1),
            entry("note", text="x"),
            entry("output"),
        ]
        assert [stop.feed(e, host="h", step="s") for e in odd] == [None] * len(odd)

    def test_its_argument_is_plain_and_a_wrong_one_is_refused(self, name: str) -> None:
        assert isinstance(ARGUMENTS[name](GIVEN[name]), int | float)
        wrong: list[Any] = [None, {}, [], "soon", 0, -1, True]
        for bad in wrong:
            with pytest.raises(ValueError, match=r"."):
                ARGUMENTS[name](bad)

    def test_its_scope_is_one_of_two(self, name: str) -> None:
        assert STOPS[name].scope in ("host", "job")


def test_there_is_an_argument_for_every_member_of_the_table() -> None:
    assert GIVEN.keys() == STOPS.keys() == ARGUMENTS.keys()


def test_a_duration_ends_the_job_normally_and_never_cuts_a_launch() -> None:
    stop = STOPS["duration"](3.0)
    feed = [entry("started", 10.0), entry("record", 14.0, type="interval"), ended(mono=15.0)]
    told = [stop.feed(e, host="h", step="s") for e in feed]
    assert told[:2] == [None, None]
    assert told[2] is not None
    assert (told[2].reason, told[2].verdict) == ("duration of 3 s reached", Status.PASSED)


def test_violations_of_all_hosts_and_steps_count_together() -> None:
    stop = STOPS["violations"](3)
    assert stop.feed(violation(), host="a", step="x@a") is None
    assert stop.feed(violation(), host="b", step="x@b") is None
    decision = stop.feed(result(violations=2, status="violated"), host="b", step="x@b")
    assert decision is not None
    assert (decision.reason, decision.verdict) == ("3 violations, the first: C1 in x@a", Status.STOPPED)


def test_a_violation_that_is_printed_and_counted_is_one() -> None:
    stop = STOPS["violations"](2)
    assert stop.feed(violation(), host="a", step="x") is None
    assert stop.feed(result(violations=1, status="violated"), host="a", step="x") is None


# -- launches --------------------------------------------------------------------------------------------


def policy(values: list[float | None], launches: Launches, seed: int = 1) -> tuple[LaunchPolicy, str | None]:
    """Fed one launch per value (None: a failed one) until it has had enough."""
    made = LaunchPolicy(launches, seed)
    for i, value in enumerate(values):
        if value is None:
            made.feed(ended("exited", 1, launch=i))
        else:
            made.feed(result(value, launch=i))
            made.feed(ended(launch=i))
        if (why := made.done()) is not None:
            return made, why
    return made, None


METRIC = "ops_per_second"


@pytest.mark.parametrize(
    ("launches", "values", "why"),
    [
        (Launches(1, 1), [1.0], "1 launch"),
        (Launches(3, 3), [1.0, 2.0, 3.0], "3 launches"),
        (Launches(3, 3), [1.0, 2.0], None),
        (Launches(1, None), [1.0] * 50, None),
        (Launches(5, 20, METRIC, 0.02), [100.0, 100.1] * 10, "ci 0.1% after 5 launches"),
        (Launches(7, 20, METRIC, 0.02), [100.0, 100.4] * 10, "ci 0.2% after 7 launches"),
        (Launches(2, 8, METRIC, 0.02), [50.0, 150.0] * 10, "max of 8 launches reached, ci 50.0%"),
        (Launches(3, 3), [1.0, None, 3.0], "3 launches, 1 of 3 failed"),
        (
            Launches(2, 4, METRIC, 0.02),
            [1.0, None, None, 9.0],
            "max of 4 launches reached, ci 1016.5%, 2 of 4 failed",
        ),
        (Launches(1, None), [None] * 5, "3 launches in a row failed, 3 of 3 failed"),
        (
            Launches(2, 3, "other", 0.02),
            [1.0] * 3,
            "max of 3 launches reached, too few values of other for an interval",
        ),
    ],
)
def test_launches_end_when_they_may_and_say_why(
    launches: Launches, values: list[float | None], why: str | None
) -> None:
    assert policy(values, launches)[1] == why


@pytest.mark.parametrize(
    "bad", [ended("timeout"), ended("exited", 1), ended("stopped"), ended("memory"), ended("start_failed")]
)
def test_the_value_of_a_failed_launch_is_left_out(bad: Entry) -> None:
    made = LaunchPolicy(Launches(2, 9, METRIC, 0.02), 1)
    for last in (ended(), bad, ended()):
        made.feed(result(1.0 if last != bad else 1e9))
        made.feed(last)
    assert made.done() == "ci 0.0% after 3 launches, 1 of 3 failed"


def test_a_violated_result_is_a_failed_launch_even_where_it_exits_well() -> None:
    made = LaunchPolicy(Launches(1, 2), 1)
    made.feed(result(status="violated"))
    made.feed(ended())
    assert made.done() is None
    made.lost()
    assert made.done() == "2 launches, 2 of 2 failed"


def test_a_policy_that_is_fed_again_comes_to_the_same_end() -> None:
    values: list[float | None] = [100.0, 103.0, 99.0, 101.0, 98.0, 100.5, 102.0, 97.0, 100.2, 99.9] * 3
    launches = Launches(6, 30, METRIC, 0.015)
    assert policy(values, launches, seed=3)[1] == policy(values, launches, seed=3)[1]
    assert policy(values, launches, seed=3)[1] is not None


# -- the interval ----------------------------------------------------------------------------------------


def test_there_is_no_interval_around_one_value_or_around_nothing() -> None:
    assert half_width([], 1) is None
    assert half_width([5.0], 1) is None
    assert half_width([-1.0, 0.0, 1.0], 1) is None


def test_few_values_take_students_interval() -> None:
    # t = 4.303 for two degrees of freedom, deviation 1, over sqrt(3), around a median of 10
    assert half_width([9.0, 10.0, 11.0], 1) == pytest.approx(4.303 / 3**0.5 / 10)


def test_the_bootstrap_repeats_and_narrows_with_more_values() -> None:
    few = [100 + (i * 37 % 11) - 5.0 for i in range(8)]
    many = [100 + (i * 37 % 11) - 5.0 for i in range(80)]
    first, second = half_width(few, 9), half_width(few, 9)
    assert first is not None
    assert first == second
    wide, narrow = first, half_width(many, 9)
    assert narrow is not None
    assert narrow < wide


def test_the_bootstrap_covers_the_median_about_as_often_as_it_says() -> None:
    """100 samples of 9 normal values, true median 100."""
    from orchestrator.model.interval import _bootstrap

    draw = random.Random(1)
    covered = 0
    for k in range(100):
        values = [draw.gauss(100, 5) for _ in range(9)]
        low, high = _bootstrap(values, k)
        covered += low <= 100 <= high
    assert 86 <= covered <= 99


def test_decisions_cannot_be_changed() -> None:
    decision = STOPS["violations"](1).feed(violation(), host="h", step="s")
    assert decision is not None
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.reason = "x"  # type: ignore[misc]
