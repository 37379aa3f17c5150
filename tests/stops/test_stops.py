"""Every stop condition keeps the contract; each has its own meaning; launches end when they may."""

from __future__ import annotations

import dataclasses
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.wire import Entry
from orchestrator.model.interval import half_width
from orchestrator.model.outcome import Status
from orchestrator.model.plan import Launches
from orchestrator.stops import ARGUMENTS, STOPS, LaunchPolicy

#: an argument for each member of the table, as a playbook would give it
GIVEN: dict[str, Any] = {
    "confidence": {"per_hour": 2000, "at": "99%"},
    "deadline": "2001-09-09T01:47Z",
    "disk": "1GiB",
    "duration": "3s",
    "failed_hosts": 0,
    "failures": 1,
    "operations": 100,
    "thermal": 90,
    "unhealthy": {},
    "violations": 2,
}
#: what is refused by some and not by all
TAKEN: dict[str, list[Any]] = {"unhealthy": [None, {}], "failed_hosts": [0]}


def entry(kind: str, mono: float = 0.0, launch: int = 0, **data: Any) -> Entry:
    return Entry(0, launch, 1e9 + mono, mono, kind, data)


def violation() -> Entry:
    return entry("record", type="violation", contract="C1", evidence="x", t=0.1, thread=0)


def vital(mono: float = 0.0, **values: float) -> Entry:
    return Entry(0, 0, 1e9 + mono, mono, "vital", dict(values))


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
    *(vital(temperature_max=95.0, disk_free=2.0**29) for _ in range(4)),
    entry("health", level="broken", what="oops", text="it died"),
    entry("record", type="interval", phase="measure", ops=200, dt=10.0),
    ended(mono=20.0),
    ended("exited", 1, mono=30.0, launch=1),
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
        plain = ARGUMENTS[name](GIVEN[name])
        if not isinstance(plain, float):  # which is written as a duration
            assert ARGUMENTS[name](json.loads(json.dumps(plain))) == plain
        wrong: list[Any] = [None, {}, [], "soon", 0, -1, True]
        for bad in (w for w in wrong if w not in TAKEN.get(name, [])):
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


def feed(name: str, argument: Any, entries: list[Entry], hosts: int = 1) -> list[str]:
    """Why it fired, each time."""
    stop = STOPS[name](ARGUMENTS[name](argument), hosts)
    told = [stop.feed(e, host="h", step="s@h") for e in entries]
    return [f"{d.reason} ({d.verdict})" for d in told if d is not None]


def interval(ops: float, dt: float = 1.0, phase: str = "measure", launch: int = 0) -> Entry:
    return entry("record", launch=launch, type="interval", phase=phase, ops=ops, dt=dt)


def counted(ops: float, seconds: float = 0.0, status: str = "ok") -> Entry:
    return entry("record", type="result", status=status, ops=ops, seconds=seconds)


def test_operations_are_counted_while_they_are_done_and_once() -> None:
    story = [interval(70, phase="warmup"), interval(60), counted(61), ended(), interval(38), interval(1)]
    assert feed("operations", 100, story) == ["100 operations, asked 100 (passed)"]
    assert feed("operations", 101, story) == []
    assert ARGUMENTS["operations"]("1e9") == 10**9


def test_launches_that_count_no_operation_do_not_go_on_for_ever() -> None:
    assert feed("operations", 5, [ended()] * 4) == ["3 launches have counted no operation (stopped)"]


def test_failures_are_launches_that_failed_or_were_lost_and_not_those_that_were_stopped() -> None:
    lost = entry("launch_lost", reason="gone")
    story = [
        ended(),
        ended("stopped"),
        counted(1, status="violated"),
        ended("exited", 1),
        lost,
        ended("timeout"),
    ]
    assert feed("failures", 2, story) == ["2 launches failed, the first: s@h launch 0 (stopped)"]
    assert feed("failures", 3, story) != []
    assert feed("failures", 4, story) == []


@pytest.mark.parametrize(
    ("asked", "fires"), [(0, True), (1, True), (2, False), ("25%", True), ("50%", False)]
)
def test_failed_hosts_are_counted_once_each(asked: int | str, fires: bool) -> None:
    stop = STOPS["failed_hosts"](ARGUMENTS["failed_hosts"](asked), 4)
    lost = entry("host", status="lost", host="b")
    told = [
        stop.feed(ended("exited", 1), host="a", step="s@a"),
        stop.feed(ended("timeout", launch=1), host="a", step="s@a"),
        stop.feed(entry("host", status="ok"), host="c", step=""),
        stop.feed(lost, host="b", step=""),
    ]
    assert (sum(d is not None for d in told) == 1) is fires
    if asked == "25%":
        assert told[-1] is not None
        assert told[-1].reason == "failed on 2 hosts (a, b), at most 25% of 4 may"


def test_a_host_is_too_hot_after_three_samples_in_a_row() -> None:
    hot, cool = vital(temperature_max=91.0), vital(temperature_max=80.0)
    assert feed("thermal", 90, [hot, hot, cool, hot, hot, vital(rss=1.0)]) == []
    assert feed("thermal", 90, [hot, hot, hot, hot]) == ["91 °C on h, limit 90 °C (stopped)"]


def test_a_disk_that_fills_up_ends_the_job_before_it_is_full() -> None:
    story = [vital(disk_free=2.0**30), vital(disk_free=2.0**30 - 1), vital(disk_free=0.0)]
    assert feed("disk", "1GiB", story) == ["1024 MiB of disk left on h, asked 1GiB (stopped)"]


@pytest.mark.parametrize(
    ("asked", "last"),
    [("02:00Z", 0.0), ("03:00+01:00", 0.0), ("2001-09-09T02:00Z", 0.0), ("01:46Z", 86400.0 - 840.0)],
)
def test_a_deadline_is_the_first_one_after_the_start(asked: str, last: float) -> None:
    at = 13.0 * 60 + 20 + last  # the story begins at 01:46:40 UTC
    story = [entry("started", 0.0), vital(at - 1), vital(at), vital(at + 1)]
    assert feed("deadline", asked, story) == [f"deadline {asked} is past (stopped)"]


@pytest.mark.parametrize("bad", ["06:00", "6Z", "25:00Z", "2026-02-30T06:00Z", 360, "06:00 UTC"])
def test_a_deadline_without_a_zone_or_that_is_no_time_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"zone|is no date"):
        ARGUMENTS["deadline"](bad)


@pytest.mark.parametrize("seed", range(40))
def test_a_date_is_counted_as_the_calendar_counts_it(seed: int) -> None:
    draw = random.Random(seed)
    when = datetime.fromtimestamp(draw.randrange(0, 2**32 * 2) // 60 * 60, UTC)
    text = when.strftime("%Y-%m-%dT%H:%MZ")
    at = when.timestamp()
    stop = STOPS["deadline"](ARGUMENTS["deadline"](text))
    before, after = (Entry(0, 0, at + d, 0.0, "note", {}) for d in (-0.5, 0.0))
    assert stop.feed(before, host="h", step="s") is None
    assert stop.feed(after, host="h", step="s") is not None


def test_confidence_is_reached_by_hours_without_a_failure() -> None:
    # -ln(0.01) / 1 per hour = 4.605 host-hours
    hour = [interval(1, 3000.0), counted(1, 3600.0), ended()]
    assert feed("confidence", {"per_hour": 1}, hour * 4) == []
    told = feed("confidence", {"per_hour": 1}, [*hour * 4, interval(1, 3000.0)])
    assert told == ["4.83 host-hours without a failure exclude 1 per host-hour at 99% (passed)"]


def test_confidence_ends_with_the_first_failure() -> None:
    told = feed("confidence", {"per_hour": 1, "at": "90%"}, [ended("timeout"), ended("timeout")])
    assert told == ["s@h launch 0 failed: 1 per host-hour can no longer be excluded (stopped)"]


def test_a_host_is_unhealthy_where_it_is_broken_and_suspect_only_where_that_is_asked() -> None:
    suspect = entry("health", level="suspect", what="throttled", text="x")
    broken = entry("health", level="broken", what="oops", text="it died")
    assert feed("unhealthy", None, [suspect]) == []
    assert feed("unhealthy", {}, [suspect, broken, broken]) == ["h is broken: oops: it died (stopped)"]
    assert feed("unhealthy", "suspect", [suspect, broken]) == ["h is suspect: throttled: x (stopped)"]


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
