"""Launches that begin together: nobody goes before all are ready, and how far apart they began is written down."""

from __future__ import annotations

import itertools
from typing import Any

from agents.wire import Entry
from orchestrator.engine.together import LEAD_S, Together
from orchestrator.fleet.seat import Halt, Seat


class Meeting:
    def __init__(self, **offsets: float) -> None:
        self.gone: list[tuple[str, float]] = []
        self.notes: list[dict[str, Any]] = []
        self.job = Together(
            "job", lambda key, at: self.gone.append((key, at)), self.notes.append, offsets, lambda: 1000.0
        )

    def ready(self, *hosts: str) -> None:
        for host in hosts:
            self.job.ready(host, f"job@{host}")

    def began(self, host: str, at: float) -> None:
        self.job.heard(host, Entry(0, 0, at, 0.0, "started", {}))


AT = 1000.0 + LEAD_S


def test_nobody_goes_before_all_are_ready() -> None:
    m = Meeting()
    m.ready("a")
    m.job.meet(["a", "b"])
    assert m.gone == []
    m.ready("b")
    m.job.meet(["a", "b"])
    assert m.gone == [("job@a", AT), ("job@b", AT)]
    m.job.meet(["a", "b"])
    assert len(m.gone) == 2


def test_whoever_is_through_is_not_waited_for() -> None:
    m = Meeting()
    m.ready("a")
    m.job.meet(["a"])
    assert m.gone == [("job@a", AT)]


def test_one_whose_seat_died_is_waited_for_until_it_comes_again() -> None:
    m = Meeting()
    m.ready("a", "b")
    m.job.away("b")
    m.job.meet(["a", "b"])
    assert m.gone == []
    m.ready("b")
    m.job.meet(["a", "b"])
    assert len(m.gone) == 2


def test_the_skew_is_what_is_left_when_the_clocks_are_corrected() -> None:
    m = Meeting(b=5.0)
    m.ready("a", "b")
    m.job.meet(["a", "b"])
    m.began("a", AT + 0.001)
    assert m.notes == []
    m.began("b", AT + 5.0 + 0.004)
    (note,) = m.notes
    assert note == {
        "job": "job",
        "round": 0,
        "starts": {"a": 0.001, "b": 0.004},
        "skew_s": 0.003,
        "waited_for": [],
    }


def test_who_was_never_heard_of_is_named() -> None:
    m = Meeting()
    m.ready("a", "b")
    m.job.meet(["a", "b"])
    m.began("a", AT)
    m.job.close()
    m.job.close()
    (note,) = m.notes
    assert (note["skew_s"], note["waited_for"]) == (None, ["b"])


def test_who_waits_goes_on_when_told_and_not_when_it_is_to_end() -> None:
    seat = Seat()
    seen: list[float | None] = []

    def work(halt: Halt) -> Any:
        for _ in range(2):
            seen.append(halt.wait_to_go())
            yield None

    pieces = seat.drive("key", work)
    seat.go("key", 7.0)
    next(pieces)
    seat.halt("key", "enough")
    assert list(itertools.islice(pieces, 5)) == [None]
    assert seen == [7.0, None]
