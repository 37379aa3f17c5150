"""One host through one job, over links that break: nothing is lost, nothing repeated, all ends with a word."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_units import job, line, step

from orchestrator.engine import drive as driving
from orchestrator.engine import reach
from orchestrator.engine.drive import drive
from orchestrator.engine.unit import Lines, Note, Piece, Progress, Unit
from orchestrator.errors import HostKeyChanged, LinkError, LinkLost, Unreachable
from orchestrator.fleet.seat import Halt
from orchestrator.model.address import Address
from orchestrator.model.plan import Launches, StepPlan, StopSpec
from orchestrator.transport.link import Completed


def journal(launch: int, reason: str = "exited") -> bytes:
    """What the agent writes of a launch: two seconds on the clock that `line` has."""
    parts = [line(launch, 0, "started"), line(launch, 1, "output", text="x")]
    return b"".join([*parts, line(launch, 2, "ended", reason=reason, exit=0)])


class Agent:
    """The host: journals by launch, and how each verb behaves. It outlives every link to it."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.stopped: list[tuple[str, int]] = []
        self.read_from: list[int] = []
        #: how long each reader of a journal was waited for
        self.idle_s: list[float] = []
        #: raised when a link is opened, one after the other
        self.refusals: list[LinkError] = []
        #: the link breaks after so many bytes of a follow, one after the other
        self.cuts: list[int] = []
        self.start_exit = 0
        #: what is said of the next starts that have no room for it
        self.no_room: list[str] = []
        self.follow_exit: dict[tuple[str, int], int] = {}
        #: readers of a journal that are killed after its first line
        self.readers_killed = 0
        #: how a launch ends, where not by itself
        self.reason: dict[tuple[str, int], str] = {}
        self.during: Callable[[str, int], None] = lambda _step, _launch: None

    def open(self, address: Address) -> OneLink:
        if self.refusals:
            raise self.refusals.pop(0)
        return OneLink(self, address.name)


class OneLink:
    def __init__(self, agent: Agent, host: str) -> None:
        self.agent = agent
        self.host = host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        if argv[2] == "start":
            order = json.loads(stdin)
            if self.agent.no_room:
                folder = f"/spool/runs/{order['run']}/{order['step']}/{order['launch']}"
                said = f"orch agent: {folder}: {self.agent.no_room.pop(0)}\n"
                return Completed(reach.CANNOT, b"", said.encode())
            if self.agent.start_exit:
                return Completed(self.agent.start_exit, b"", b"warning\nspool: not a folder\n")
            if (order["step"], order["launch"]) not in self.agent.started:
                self.agent.started.append((order["step"], order["launch"]))
            return Completed(0, b'{"started":true,"state":"running"}\n', b"")
        step, launch = argv[argv.index("--step") + 1], int(argv[argv.index("--launch") + 1])
        self.agent.stopped.append((step, launch))
        return Completed(0, b"{}", b"")

    @contextmanager
    def stream(self, argv: Sequence[str], *, stdin: bytes = b"", idle_s: float = 60.0) -> Iterator[Follow]:
        step, launch = argv[argv.index("--step") + 1], int(argv[argv.index("--launch") + 1])
        offset = int(argv[argv.index("--offset") + 1])
        self.agent.read_from.append(offset)
        self.agent.idle_s.append(idle_s)
        yield Follow(self.agent, step, launch, offset)

    def put(self, source: Path, target: str, *, mode: int = 0o644, timeout_s: float = 600.0) -> None:
        raise AssertionError("nothing is copied while driving")

    def get(self, source: str, target: Path, *, timeout_s: float = 600.0) -> None:
        raise AssertionError("nothing is copied while driving")

    def close(self) -> None: ...


class Follow:
    def __init__(self, agent: Agent, step: str, launch: int, offset: int) -> None:
        self.agent, self.step, self.launch, self.offset = agent, step, launch, offset

    def chunks(self) -> Iterator[bytes]:
        which = (self.step, self.launch)
        data = journal(self.launch, self.agent.reason.get(which, "exited"))[self.offset :]
        if self.agent.follow_exit.get(which) or self.agent.readers_killed:
            data = data[: data.index(b"\n") + 1]
        cut = self.agent.cuts.pop(0) if self.agent.cuts else None
        yield b"\n"  # a sign of life, not counted
        self.agent.during(self.step, self.launch)
        for at in range(0, len(data), 100):
            if cut is not None and at >= cut:
                raise LinkLost("h", "cut")
            yield data[at : at + 100]

    def exit(self) -> int:
        if self.agent.readers_killed:
            self.agent.readers_killed -= 1
            return -9
        return self.agent.follow_exit.get((self.step, self.launch), 0)

    def stderr(self) -> bytes:
        return b""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _s: None)


def unit(*steps: StepPlan, stops: Sequence[StopSpec] = (), patience_s: float = 5.0) -> Unit:
    return Unit(
        "r", 1, Address("h"), "/spool", "/agent", {}, job("a", stops=stops), steps, patience_s=patience_s
    )


def run(agent: Agent, given: Unit, halt: Halt | None = None) -> list[Piece]:
    return list(drive(given, halt or Halt(), agent.open))


def words(pieces: Sequence[Piece]) -> dict[str, tuple[str, str]]:
    said = [p.data | {"kind": p.kind} for p in pieces if isinstance(p, Note) and p.kind.startswith("step_")]
    assert len({d["step"] for d in said}) == len(said), "a step has one last word"
    return {d["step"]: (d["kind"], d["reason"]) for d in said}


def bytes_of(pieces: Sequence[Piece], step_: str, launch: int) -> bytes:
    return b"".join(p.data for p in pieces if isinstance(p, Lines) and (p.step, p.launch) == (step_, launch))


def test_launches_are_interleaved_forwards_and_backwards() -> None:
    a, b = step("a", "h", 0, launches=Launches(3, 3)), step("a", "h", 1, launches=Launches(3, 3))
    agent = Agent()
    pieces = run(agent, unit(a, b))
    assert agent.started == [(a.id, 0), (b.id, 0), (b.id, 1), (a.id, 1), (a.id, 2), (b.id, 2)]
    assert words(pieces) == {a.id: ("step_done", "3 launches"), b.id: ("step_done", "3 launches")}
    assert bytes_of(pieces, a.id, 1) == journal(1)


def test_a_link_that_breaks_again_and_again_neither_loses_nor_repeats_a_byte() -> None:
    a = step("a", "h")
    agent = Agent()
    agent.cuts = [100, 0, 200, 100]
    pieces = run(agent, unit(a))
    assert bytes_of(pieces, a.id, 0) == journal(0)
    assert all(p.data.endswith(b"\n") for p in pieces if isinstance(p, Lines))
    assert agent.started == [(a.id, 0)]
    assert len(agent.read_from) == 5
    assert agent.read_from[-1] > 0


def test_a_host_that_is_given_longer_to_get_in_is_waited_for_longer() -> None:
    agent = Agent()
    run(agent, unit(step("a", "h")))
    run(agent, replace(unit(step("a", "h")), address=Address("h", connect_timeout_s=60.0)))
    assert agent.idle_s == [reach.IDLE_S, 6 * reach.IDLE_S]


def test_a_host_that_stays_away_is_lost_with_all_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    a, b = step("a", "h", 0), step("a", "h", 1)
    agent = Agent()
    agent.refusals = [Unreachable("h", "nothing listens there")] * 50
    pieces = run(agent, unit(a, b))
    said = words(pieces)
    assert {kind for kind, _ in said.values()} == {"step_lost"}
    assert all("out of reach for" in why and "nothing listens there" in why for _, why in said.values())
    assert len(said) == 2
    (host,) = [p.data for p in pieces if isinstance(p, Note) and p.kind == "host"]
    assert (host["host"], host["status"]) == ("h", "lost")
    assert "nothing listens there" in host["reason"]


def test_the_night_ends_by_our_clock_and_not_by_that_of_a_host_that_is_hours_off() -> None:
    a = step("a", "h", launches=Launches(2, 2))
    # what the host writes is of 00:01
    given = unit(a, stops=[StopSpec("deadline", "1970-01-01T00:30Z")])
    assert words(run(Agent(), given))[a.id] == ("step_done", "2 launches")
    behind = replace(given, clock_offset_s=-3600.0)
    assert words(run(Agent(), behind))[a.id][0] == "step_stopped"


def reached(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    return [(p.data["status"], p.data["reason"]) for p in pieces if isinstance(p, Note) and p.kind == "reach"]


def test_a_link_that_is_lost_and_found_again_is_said_once_each_time() -> None:
    agent = Agent()
    agent.refusals = [Unreachable("h", "nothing listens there")] * 3
    agent.cuts = [100]
    given = unit(step("a", "h"), patience_s=1000.0)
    away, back = ("away", "nothing listens there"), ("back", "after 0 s")
    assert reached(run(agent, given)) == [away, back, ("away", "cut"), back]


def test_a_reader_that_is_killed_is_no_host_that_is_out_of_reach() -> None:
    agent = Agent()
    agent.readers_killed = 1
    assert reached(run(agent, unit(step("a", "h")))) == []


def test_a_host_whose_key_changed_is_lost_at_once() -> None:
    a = step("a", "h")
    agent = Agent()
    agent.cuts = [100]
    agent.during = lambda _s, _l: agent.refusals.append(HostKeyChanged("h", "another key"))
    assert "another key" in words(run(agent, unit(a)))[a.id][1]
    assert len(agent.read_from) == 1


def test_a_launch_whose_agent_is_gone_is_lost_and_the_others_go_on() -> None:
    a, b = step("a", "h", 0), step("a", "h", 1)
    agent = Agent()
    agent.follow_exit[a.id, 0] = reach.SUPERVISOR_GONE
    pieces = run(agent, unit(a, b))
    assert words(pieces)[a.id][0] == "step_lost"
    assert words(pieces)[b.id] == ("step_done", "1 launch")
    (lost,) = [p.data for p in pieces if isinstance(p, Note) and p.kind == "launch_lost"]
    assert (lost["step"], lost["launch"]) == (a.id, 0)


def test_a_reader_that_is_killed_is_replaced_and_the_launch_goes_on() -> None:
    a = step("a", "h")
    agent = Agent()
    agent.readers_killed = 2
    pieces = run(agent, unit(a))
    assert words(pieces)[a.id] == ("step_done", "1 launch")
    assert bytes_of(pieces, a.id, 0) == journal(0)
    assert len(agent.read_from) == 3


def test_a_launch_that_others_have_stopped_is_lost_and_never_a_pass() -> None:
    a = step("a", "h")
    agent = Agent()
    agent.reason[a.id, 0] = "stopped"
    kind, why = words(run(agent, unit(a)))[a.id]
    assert (kind, why) == ("step_lost", driving.STOPPED_BY_OTHERS)


@pytest.mark.parametrize("how", ["agent gone", "stopped by others"])
def test_in_a_resumed_run_what_was_cut_short_is_collected_and_made_again(how: str) -> None:
    a = step("a", "h")
    agent = Agent()
    if how == "agent gone":
        agent.follow_exit[a.id, 0] = 4
    else:
        agent.reason[a.id, 0] = "stopped"
    rest = replace(unit(a), again=True, progress={a.id: Progress((), 0, 10)})
    pieces = run(agent, rest)
    assert words(pieces)[a.id] == ("step_done", "1 launch")
    assert [p.data["launch"] for p in pieces if isinstance(p, Note) and p.kind == "launch_again"] == [0]
    assert agent.started == [(a.id, 0), (a.id, 1)]
    assert agent.read_from[0] == 10
    assert bytes_of(pieces, a.id, 1) == journal(1)


def test_in_a_resumed_run_a_new_launch_that_is_lost_is_lost() -> None:
    a = step("a", "h")
    agent = Agent()
    agent.follow_exit[a.id, 0] = agent.follow_exit[a.id, 1] = 4
    pieces = run(agent, replace(unit(a), again=True))
    assert words(pieces)[a.id][0] == "step_lost"
    assert agent.started == [(a.id, 0), (a.id, 1)]


@pytest.mark.parametrize(("status", "kind"), [(2, "step_failed"), (5, "step_lost"), (1, "step_lost")])
def test_what_the_agent_will_not_start_ends_with_its_words(status: int, kind: str) -> None:
    """A wrong order is the plan's fault, a spool of no use or a damaged agent the host's."""
    a = step("a", "h")
    agent = Agent()
    agent.start_exit = status
    said = words(run(agent, unit(a)))[a.id]
    assert said[0] == kind
    assert said[1].startswith("the agent did not start it: ")
    assert said[1].endswith("spool: not a folder")
    assert ("damaged" in said[1]) is (status == 1)


FULL = "orch agent: /spool: No space left on device"


@pytest.mark.parametrize("said", ["No space left on device", "Disk quota exceeded"])
def test_room_on_a_full_disk_is_waited_for_and_then_the_launch_is_made(said: str) -> None:
    a, b = step("a", "h", 0), step("a", "h", 1)
    agent = Agent()
    agent.no_room = [said] * 3
    pieces = run(agent, unit(a, b, patience_s=1000.0))
    assert agent.started == [(a.id, 0), (b.id, 0)]
    assert {kind for kind, _ in words(pieces).values()} == {"step_done"}
    assert reached(pieces) == [("full", f"orch agent: /spool: {said}"), ("room", "after 0 s")]


def test_a_disk_that_stays_full_is_waited_for_once_and_what_begins_later_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, asleep = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        asleep.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("time.sleep", sleep)
    a, b, c = (step("a", "h", number) for number in range(3))
    agent = Agent()
    # of 20 s of patience: 0.2 0.4 0.8 1.6 3.2 4 4 4 4
    agent.no_room = ["No space left on device"] * 11
    pieces = run(agent, unit(a, b, c, patience_s=20.0))
    assert 20.0 < sum(asleep) < 25.0
    assert words(pieces)[a.id] == words(pieces)[b.id] == ("step_lost", f"the agent did not start it: {FULL}")
    assert words(pieces)[c.id] == ("step_done", "1 launch")
    assert reached(pieces) == [("full", FULL), ("room", "after 22 s")]


def test_a_halt_while_there_is_no_room_is_a_stop_and_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    halt, agent, a = Halt(), Agent(), step("a", "h")
    agent.no_room = ["No space left on device"] * 50
    monkeypatch.setattr("time.sleep", lambda _s: halt.set("interrupted"))
    pieces = run(agent, unit(a, patience_s=1000.0), halt)
    assert words(pieces) == {a.id: ("step_stopped", "interrupted")}
    assert len(agent.no_room) == 48


def test_a_halt_stops_the_launch_under_way_and_never_begins_another() -> None:
    a, b = step("a", "h", 0, launches=Launches(9, 9)), step("a", "h", 1)
    agent = Agent()
    halt = Halt()
    agent.during = lambda _s, _l: halt.set("interrupted")
    pieces = run(agent, unit(a, b), halt)
    assert agent.stopped == [(a.id, 0)]
    assert agent.started == [(a.id, 0)]
    assert words(pieces) == {a.id: ("step_stopped", "interrupted"), b.id: ("step_stopped", "interrupted")}


def test_a_duration_ends_the_job_between_two_launches_and_says_so_once() -> None:
    a = step("a", "h", launches=Launches(1, None))
    agent = Agent()
    pieces = run(agent, unit(a, stops=[StopSpec("duration", 1.5)]))
    assert words(pieces)[a.id][0] == "step_done"
    (stop,) = [p.data for p in pieces if isinstance(p, Note) and p.kind == "stop"]
    assert (stop["job"], stop["host"]) == ("a", "h")
    assert stop["reason"].startswith("complete: duration")
    assert agent.stopped == []


def test_what_an_earlier_seat_has_done_is_not_done_again() -> None:
    a = step("a", "h", launches=Launches(2, 2))
    first = tuple(driving.entries(journal(0)))
    cut = journal(1).index(b"\n") + 1
    given = unit(a)
    known = Unit(**{**given.__dict__, "progress": {a.id: Progress(first, 1, cut)}})
    agent = Agent()
    agent.started = [(a.id, 1)]
    pieces = run(agent, known)
    assert agent.started == [(a.id, 1)]
    assert agent.read_from == [cut]
    assert bytes_of(pieces, a.id, 1) == journal(1)[cut:]
    assert words(pieces) == {a.id: ("step_done", "2 launches")}
