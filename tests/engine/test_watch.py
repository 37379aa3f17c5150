"""Needs, stops, interrupts and dead seats: every planned step ends with a word in the journal."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_up_units import job, line, step

from agents.wire import Entry
from orchestrator.engine.drive import halt_kind
from orchestrator.engine.unit import Lines, Note, Piece, Unit
from orchestrator.engine.watch import MAX_SEATS, Watch
from orchestrator.errors import RunFolderError
from orchestrator.model.address import Address
from orchestrator.model.outcome import Status
from orchestrator.model.plan import JobPlan, Launches, Plan, StepPlan, StopSpec
from orchestrator.results.folder import RunFolder, read_journal


def done(s: StepPlan) -> Note:
    return Note(
        "step_done", {"host": s.host, "job": s.job, "step": s.id, "reason": "1 launch", "launches": 1}
    )


class Scripted:
    """Seats that play a script per unit; a unit's script may hold exceptions, each a dead seat."""

    def __init__(self, scripts: Mapping[str, list[Piece | BaseException]]) -> None:
        self.scripts = {k: deque(v) for k, v in scripts.items()}
        self.submitted: list[Unit] = []
        self.halted: list[tuple[str, str]] = []
        self._running: deque[str] = deque()

    def submit(self, unit: Unit) -> None:
        self.submitted.append(unit)
        self._running.append(unit.key)

    def next(self, timeout_s: float) -> tuple[str, Piece | BaseException | None] | None:
        if not self._running:
            return None
        key = self._running[0]
        self._running.rotate(-1)
        script = self.scripts[key]
        if not script:
            self._running.remove(key)
            return key, None
        piece = script.popleft()
        if isinstance(piece, BaseException):
            self._running.remove(key)
        return key, piece

    def go(self, key: str, at: float) -> None:
        raise AssertionError("no job here begins together")

    def halt(self, key: str, reason: str) -> None:
        self.halted.append((key, reason))
        unit = next(u for u in self.submitted if u.key == key)
        kind = halt_kind(reason)
        self.scripts[key] = deque(
            Note(kind, {"host": s.host, "job": s.job, "step": s.id, "reason": reason}) for s in unit.steps
        )


class Silent:
    def began(self, unit: Unit) -> None: ...
    def entry(self, unit: Unit, step: str, entry: Entry) -> None: ...
    def note(self, kind: str, data: Mapping[str, Any]) -> None: ...
    def turn(self) -> None: ...


class Bench:
    """A plan, a folder and scripted seats; ``bad`` are the steps that the journals' fold would fail."""

    def __init__(self, tmp: Path, jobs: list[JobPlan], steps: list[StepPlan]) -> None:
        self.folder = RunFolder.create(tmp, "watch")
        self.folder.write("plan.json", "{}")
        hosts = sorted({s.host for s in steps})
        self.plan = Plan(1, "watch", 1, hosts, ["release"], jobs, [], 1.0, steps)
        self.bad: dict[str, Status] = {}
        self.units = [
            Unit("r", 1, Address(h), "/spool", "/agent", {}, j, mine)
            for h in hosts
            for j in jobs
            if (
                mine := tuple(
                    s for s in steps if s.job == j.name and s.host == h and not s.skip and not s.lost
                )
            )
        ]

    def judge(
        self, _folder: RunFolder, steps: Sequence[StepPlan], notes: Sequence[Entry]
    ) -> dict[str, tuple[Status, str]]:
        said = {n.data["step"]: n.kind for n in notes if n.kind.startswith("step_")}
        words = {"step_done": Status.PASSED, "step_lost": Status.LOST, "step_stopped": Status.STOPPED}
        words |= {
            "step_skipped": Status.SKIPPED,
            "step_failed": Status.FAILED,
            "step_invalid": Status.INVALID,
        }
        return {
            s.id: (
                self.bad.get(s.id)
                or (Status.LOST if s.lost else words.get(said.get(s.id, ""), Status.SKIPPED)),
                "",
            )
            for s in steps
        }

    def notes(self) -> list[Entry]:
        return list(read_journal(self.folder.controller_journal, []))

    def words(self) -> dict[str, tuple[str, str]]:
        return {
            n.data["step"]: (n.kind, n.data["reason"]) for n in self.notes() if n.kind.startswith("step_")
        }

    def watch(self, seats: Scripted, interrupted: Any = lambda: False) -> bool:
        return Watch(self.folder, self.plan, self.units, seats, Silent(), interrupted, self.judge).run()


def test_a_job_begins_on_a_host_when_its_need_is_met_there(tmp_path: Path) -> None:
    a1, a2, b1, b2 = step("a", "h1"), step("a", "h2"), step("b", "h1"), step("b", "h2")
    bench = Bench(tmp_path, [job("a"), job("b", needs=["a"])], [a1, a2, b1, b2])
    bench.bad[a2.id] = Status.FAILED
    seats = Scripted({"a@h1": [done(a1)], "a@h2": [done(a2)], "b@h1": [done(b1)], "b@h2": [done(b2)]})
    assert bench.watch(seats) is False
    assert [u.key for u in seats.submitted] == ["a@h1", "a@h2", "b@h1"]
    assert bench.words()[b1.id][0] == "step_done"
    assert bench.words()[b2.id] == ("step_skipped", "needs a, which failed on h2")


def test_a_need_without_steps_on_the_host_must_be_met_everywhere(tmp_path: Path) -> None:
    a1, a2, b3 = step("a", "h1"), step("a", "h2"), step("b", "h3")
    bench = Bench(tmp_path, [job("a"), job("b", needs=["a"])], [a1, a2, b3])
    bench.bad[a1.id] = Status.LOST
    seats = Scripted({"a@h1": [done(a1)], "a@h2": [done(a2)], "b@h3": [done(b3)]})
    bench.watch(seats)
    assert bench.words()[b3.id] == ("step_skipped", "needs a, which was lost on h1")


def test_a_need_whose_cells_the_host_cannot_run_is_no_obstacle(tmp_path: Path) -> None:
    a1, b1 = step("a", "h1", skip="64 threads, the host has 2"), step("b", "h1")
    bench = Bench(tmp_path, [job("a"), job("b", needs=["a"])], [a1, b1])
    seats = Scripted({"b@h1": [done(b1)]})
    bench.watch(seats)
    assert bench.words()[b1.id][0] == "step_done"


def test_one_unit_at_a_time_on_a_host(tmp_path: Path) -> None:
    a1, b1 = step("a", "h1"), step("b", "h1")
    bench = Bench(tmp_path, [job("a"), job("b")], [a1, b1])
    seats = Scripted({"a@h1": [done(a1)], "b@h1": [done(b1)]})
    running: list[int] = []
    submit = seats.submit

    def counting(unit: Unit) -> None:
        running.append(
            sum(1 for k in seats.scripts if k in [u.key for u in seats.submitted] and seats.scripts[k])
        )
        submit(unit)

    seats.submit = counting  # type: ignore[method-assign]
    bench.watch(seats)
    assert running == [0, 0]


def test_violations_stop_the_job_on_every_host(tmp_path: Path) -> None:
    a1, a2, a3 = step("a", "h1"), step("a", "h2"), step("a", "h2", 1)
    bench = Bench(tmp_path, [job("a", stops=[StopSpec("violations", 1)])], [a1, a2, a3])
    violation = line(0, 0, "record", type="violation", contract="C1", evidence="x")
    seats = Scripted(
        {
            "a@h1": [Lines("h1", a1.id, 0, violation)],
            "a@h2": [Lines("h2", a2.id, 0, line(0, 0, "note", text="x"))] * 50,
        }
    )
    bench.watch(seats)
    assert sorted({k for k, _ in seats.halted}) == ["a@h1", "a@h2"]
    assert {k for k, _ in bench.words().values()} == {"step_stopped"}
    (stop,) = [n.data for n in bench.notes() if n.kind == "stop"]
    assert (stop["host"], stop["reason"].startswith("1 violation")) == ("", True)


def failing(s: StepPlan) -> Lines:
    return Lines(s.host, s.id, 0, line(0, 0, "started") + line(0, 1, "ended", reason="timeout"))


def test_hosts_that_failed_or_were_lost_stop_the_job_once_they_are_too_many(tmp_path: Path) -> None:
    steps = [step("a", f"h{i}") for i in range(5)]
    bench = Bench(tmp_path, [job("a", stops=[StopSpec("failed_hosts", "40%")])], steps)
    lost = Note("host", {"host": "h1", "status": "lost", "reason": "gone"})
    seats = Scripted(
        {
            "a@h0": [failing(steps[0]), done(steps[0])],
            "a@h1": [lost],
            "a@h2": [failing(steps[2])],
            **{f"a@h{i}": [Lines(f"h{i}", steps[i].id, 0, line(0, 0, "note", text="x"))] * 9 for i in (3, 4)},
        }
    )
    bench.watch(seats)
    (stop,) = [n.data for n in bench.notes() if n.kind == "stop"]
    assert stop["reason"] == "failed on 3 hosts (h0, h1, h2), at most 40% of 5 may"
    assert {k for k, _ in seats.halted} >= {"a@h3", "a@h4"}


def test_a_host_that_could_not_be_planned_for_counts_as_failed(tmp_path: Path) -> None:
    a1, a2 = step("a", "h1", lost="no answer"), step("a", "h2")
    bench = Bench(tmp_path, [job("a", stops=[StopSpec("failed_hosts", 0)])], [a1, a2])
    bench.watch(Scripted({"a@h2": [done(a2)]}))
    assert bench.words()[a2.id] == ("step_stopped", "failed on 1 host (h1), at most 0 of 2 may")


def test_what_was_written_before_counts_towards_a_stop_of_the_job(tmp_path: Path) -> None:
    a1, a2 = step("a", "h1"), step("a", "h2")
    bench = Bench(tmp_path, [job("a", stops=[StopSpec("failures", 2)])], [a1, a2])
    bench.folder.append("h1", a1.id, failing(a1).data)
    bench.units = [u for u in bench.units if u.address.name == "h2"]
    bench.watch(Scripted({"a@h2": [failing(a2)]}))
    (stop,) = [n.data for n in bench.notes() if n.kind == "stop"]
    assert stop["reason"] == f"2 launches failed, the first: {a1.id} launch 0"


class Telling(Scripted):
    """Says something first that is of no unit."""

    def __init__(self, note: Note, scripts: Mapping[str, list[Piece | BaseException]]) -> None:
        super().__init__(scripts)
        self._first = [note]

    def next(self, timeout_s: float) -> tuple[str, Piece | BaseException | None] | None:
        return ("", self._first.pop()) if self._first else super().next(timeout_s)


def test_what_is_of_no_unit_is_written_down_as_well(tmp_path: Path) -> None:
    a = step("a", "h")
    bench = Bench(tmp_path, [job("a")], [a])
    about = {"host": "h", "status": "lost", "reason": "no answer"}
    bench.watch(Telling(Note("node", about), {"a@h": [done(a)]}))
    assert [n.data for n in bench.notes() if n.kind == "node"] == [about]


class Seen(dict[str, Any]):
    """Data of a note, of which can be told whether anybody has it yet."""


def test_the_memory_of_a_watch_does_not_grow_with_what_it_was_told(tmp_path: Path) -> None:
    steps = [step("a", "h1", n) for n in range(3)]
    bench = Bench(tmp_path, [job("a"), job("b")], [*steps, step("b", "h1")])
    about = {"host": "h1", "job": "a", "launch": 0}
    told = [Note("evidence", Seen({**about, "step": s.id, "lines": ["oops"]})) for s in steps]
    ends = [Note("step_done", Seen({**about, "step": s.id, "reason": "", "launches": 1})) for s in steps]
    left = [weakref.ref(n.data) for n in (*told, *ends)]
    seats = Scripted({"a@h1": [*told, *ends], "b@h1": [done(step("b", "h1"))]})
    del told, ends
    there: list[list[bool]] = []

    class Looks(Silent):
        def note(self, kind: str, data: Mapping[str, Any]) -> None:
            gc.collect()
            there.append([one() is not None for one in left])

    Watch(bench.folder, bench.plan, bench.units, seats, Looks(), lambda: False, bench.judge).run()
    assert there[5][:3] == [False] * 3, "evidence, after the job's last word"
    assert there[6] == [False] * 6, "ends of a job that is over, at the next one's"


def test_a_dead_seat_is_replaced_and_goes_on_from_the_last_written_byte(tmp_path: Path) -> None:
    s = step("a", "h1", launches=Launches(2, 2))
    bench = Bench(tmp_path, [job("a")], [s])
    whole = [line(0, 0, "started"), line(0, 1, "ended", reason="exited")]
    half = line(1, 0, "started")
    seats = Scripted(
        {
            "a@h1": [
                *(Lines("h1", s.id, 0, x) for x in whole),
                Lines("h1", s.id, 1, half),
                RuntimeError("dead"),
                done(s),
            ]
        }
    )
    bench.watch(seats)
    again = seats.submitted[1].progress[s.id]
    assert (again.launch, again.offset, len(again.entries)) == (1, len(half), 2)
    assert bench.words()[s.id][0] == "step_done"
    assert bench.folder.journal("h1", s.id).read_bytes() == b"".join([*whole, half])


def test_a_seat_that_keeps_dying_loses_the_steps_and_says_why(tmp_path: Path) -> None:
    s = step("a", "h1")
    bench = Bench(tmp_path, [job("a")], [s])
    seats = Scripted({"a@h1": [RuntimeError("boom")] * 5})
    bench.watch(seats)
    assert len(seats.submitted) == MAX_SEATS
    assert bench.words()[s.id] == ("step_lost", "its seat died: boom")


def test_a_seat_that_says_nothing_about_a_step_loses_it(tmp_path: Path) -> None:
    s = step("a", "h1")
    bench = Bench(tmp_path, [job("a")], [s])
    bench.watch(Scripted({"a@h1": []}))
    assert bench.words()[s.id][0] == "step_lost"


@pytest.mark.parametrize("turns", [0, 3])
def test_an_interrupt_stops_what_runs_and_never_begins_the_rest(tmp_path: Path, turns: int) -> None:
    a1, b1 = step("a", "h1"), step("b", "h1")
    bench = Bench(tmp_path, [job("a"), job("b")], [a1, b1])
    seats = Scripted(
        {"a@h1": [Lines("h1", a1.id, 0, line(0, i, "note", text="x")) for i in range(50)], "b@h1": [done(b1)]}
    )
    asked = iter([False] * turns + [True] * 1000)
    assert bench.watch(seats, lambda: next(asked)) is True
    assert {k for k, _ in bench.words().values()} == {"step_stopped"}
    assert len(bench.words()) == 2
    assert "b@h1" not in [u.key for u in seats.submitted]


def test_a_run_folder_that_vanishes_stops_the_hosts_and_is_not_made_anew(tmp_path: Path) -> None:
    a1, a2 = step("a", "h1"), step("a", "h2")
    bench = Bench(tmp_path, [job("a")], [a1, a2])
    lines: list[Piece | BaseException] = [
        Lines("h1", a1.id, 0, line(0, i, "note", text="x")) for i in range(50)
    ]
    seats = Scripted({"a@h1": lines, "a@h2": [Lines("h2", a2.id, 0, line(0, 0, "note", text="x"))] * 50})
    turns = iter(range(1000))

    def third_turn() -> bool:
        if next(turns) == 3:
            shutil.rmtree(bench.folder.path)
        return False

    with pytest.raises(RunFolderError, match="gone"):
        bench.watch(seats, third_turn)
    assert sorted(key for key, _ in seats.halted) == ["a@h1", "a@h2"]
    assert not any(seats.scripts.values()), "they were not heard to their end"
    assert not bench.folder.path.exists()


def test_a_host_that_is_found_broken_is_quarantined_and_the_others_go_on(tmp_path: Path) -> None:
    a1, a2, b1, b2 = step("a", "h1"), step("a", "h2"), step("b", "h1"), step("b", "h2")
    bench = Bench(tmp_path, [job("a"), job("b")], [a1, a2, b1, b2])
    oops = line(0, 1, "health", level="broken", what="oops", text="Oops: 0002 [#1]")
    suspect = line(0, 1, "health", level="suspect", what="throttled", text="hot")
    seats = Scripted(
        {
            "a@h1": [Lines("h1", a1.id, 0, line(0, 0, "started") + oops), done(a1)],
            "a@h2": [Lines("h2", a2.id, 0, line(0, 0, "started") + suspect), done(a2)],
            "b@h2": [done(b2)],
        }
    )
    bench.watch(seats)
    words = bench.words()
    assert words[a1.id] == words[b1.id] == ("step_invalid", "invalid: Oops: 0002 [#1]")
    assert [words[s.id][0] for s in (a2, b2)] == ["step_done", "step_done"]
    said = [n.data for n in bench.notes() if n.kind == "host"]
    assert said == [{"host": "h1", "status": "quarantined", "reason": "Oops: 0002 [#1]"}]
