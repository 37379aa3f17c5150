"""Faults on purpose: they come while a launch runs, do what they say, and leave their begin and end in the journal."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_units import step

from agents.wire import Entry
from orchestrator.bundle.agent import agent_zipapp
from orchestrator.engine.nemesis import Nemesis
from orchestrator.engine.unit import Note, Unit
from orchestrator.lab import faults, labs
from orchestrator.model.address import Address
from orchestrator.model.plan import JobPlan, NemesisSpec
from orchestrator.model.playbook import Playbook

STARTED = Entry(0, 0, 1.0, 1.0, "started", {})
ENDED = Entry(9, 0, 2.0, 2.0, "ended", {"reason": "exited"})
STEP = step("a", "here")


def unit(spool: Path, *specs: NemesisSpec, lab: str | None = None) -> Unit:
    plan = JobPlan("a", "command", [], [], [], 10.0, nemesis=list(specs))
    address = Address("here", local=True, lab=lab)
    return Unit("r", 7, address, str(spool), "/agent", {}, plan, (STEP,))


@pytest.fixture
def nemesis() -> Iterator[Nemesis]:
    made = Nemesis()
    yield made
    made.close()


def notes_until_end(nemesis: Nemesis, count: int = 2) -> list[dict[str, Any]]:
    found: list[Note] = []
    until = time.monotonic() + 300
    while len(found) < count and time.monotonic() < until:
        found += nemesis.said()
        time.sleep(0.05)
    assert all(n.kind == "nemesis" for n in found)
    return [n.data for n in found]


@pytest.mark.parametrize("name", ["jitter", "memory"])
def test_a_load_comes_and_goes_and_both_are_noted(tmp_path: Path, nemesis: Nemesis, name: str) -> None:
    nemesis.heard(unit(tmp_path, NemesisSpec(name, 0.1, 1.0, 0.001)), STEP.id, STARTED)
    begin, end = notes_until_end(nemesis)[:2]
    about = {"host": "here", "job": "a", "step": STEP.id, "launch": 0, "fault": name}
    assert begin == {**about, "phase": "begin", "text": f"begin: {name} for 1 s"}
    assert end == {**about, "phase": "end", "text": "end: done"}


def test_the_process_that_watches_a_launch_is_killed(tmp_path: Path, nemesis: Nemesis) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        folder = tmp_path / "runs" / "r" / STEP.id / "0"
        folder.mkdir(parents=True)
        (folder / "pid").write_text(json.dumps({"pid": victim.pid}))
        nemesis.heard(unit(tmp_path, NemesisSpec("kill_agent", 0.1)), STEP.id, STARTED)
        _, end = notes_until_end(nemesis)[:2]
        assert end["text"] == f"end: process {victim.pid} killed"
        assert victim.wait(60) == -9
    finally:
        victim.kill()
        victim.wait()


def test_what_cannot_be_done_is_said_and_stops_nothing(tmp_path: Path, nemesis: Nemesis) -> None:
    asked = unit(tmp_path, NemesisSpec("kill_agent", 0.1), NemesisSpec("link", 0.1, 1.0, fault="cut"))
    nemesis.heard(asked, STEP.id, STARTED)
    ends = {n["fault"]: n["text"] for n in notes_until_end(nemesis, 8) if n["phase"] == "end"}
    assert ends == {
        "kill_agent": "end: not done: no agent watches this launch any more",
        "link": "end: not done: it is no host of a lab",
    }


@pytest.mark.parametrize("lost", [False, True])
def test_a_link_is_healed_when_its_launch_is_over(
    tmp_path: Path, nemesis: Nemesis, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    done: list[tuple[str, str, str]] = []
    cut = threading.Event()

    def befall(lab: str, what: str, host: str) -> None:
        done.append((lab, what, host))
        cut.set()

    monkeypatch.setattr(faults, "befall", befall)
    nemesis.heard(unit(tmp_path, NemesisSpec("link", 0.1, 600.0, fault="lossy"), lab="l"), STEP.id, STARTED)
    assert cut.wait(60)
    if lost:
        nemesis.gone(STEP.id)
    else:
        nemesis.heard(unit(tmp_path), STEP.id, ENDED)
    assert [n["phase"] for n in notes_until_end(nemesis)] == ["begin", "end"]
    assert done == [("l", "lossy", "here"), ("l", "heal", "here")]


def test_when_faults_come_is_drawn_from_the_seed(tmp_path: Path) -> None:
    waits: list[list[float]] = []
    for _ in range(2):
        nemesis, drawn = Nemesis(), list[float]()
        over = _Counted(drawn)
        asked = unit(tmp_path, NemesisSpec("kill_agent", 40.0))
        nemesis._torment(asked, STEP.id, 0, 0, asked.job.nemesis[0], over)
        waits.append(drawn)
    assert waits[0] == waits[1]
    assert len(set(waits[0])) == 5
    assert all(20 <= w <= 60 for w in waits[0])


class _Counted(threading.Event):
    """Is set after five waits, none of which takes any time."""

    def __init__(self, waits: list[float]) -> None:
        super().__init__()
        self._waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        if len(self._waits) == 5:
            return True
        self._waits.append(timeout or 0.0)
        return False


def test_between_launches_a_fault_waits_until_one_has_ended(
    tmp_path: Path, nemesis: Nemesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(faults, "befall", lambda _lab, what, _host: done.append(what))
    asked = unit(tmp_path, NemesisSpec("link", 0.1, 600.0, fault="cut", when="between"), lab="l")
    nemesis.heard(asked, STEP.id, STARTED)
    time.sleep(0.5)
    assert not nemesis.said()
    nemesis.heard(asked, STEP.id, ENDED)
    (begin,) = notes_until_end(nemesis, 1)
    assert begin["text"] == "begin: link cut for 600 s after launch 0"
    assert (begin["step"], begin["launch"]) == (STEP.id, 0)
    nemesis.through(asked)
    assert [n["text"] for n in notes_until_end(nemesis, 1)] == ["end: healed"]
    assert done == ["cut", "heal"]


def test_what_the_agent_does_is_said_in_its_words(tmp_path: Path, nemesis: Nemesis) -> None:
    archive = agent_zipapp()
    asked = unit(tmp_path, NemesisSpec("pinning", 0.1, 1.0))
    asked = replace(asked, agent=str(archive), address=replace(asked.address, python=sys.executable))
    folder = tmp_path / "runs" / "r" / STEP.id / "0"
    folder.mkdir(parents=True)
    nemesis.heard(asked, STEP.id, STARTED)
    assert notes_until_end(nemesis)[1]["text"] == "end: not done: nothing of this launch runs any more"


@pytest.mark.parametrize("lab", [None, "shared"])
def test_a_clock_that_others_share_is_left_alone(
    tmp_path: Path, nemesis: Nemesis, monkeypatch: pytest.MonkeyPatch, lab: str | None
) -> None:
    monkeypatch.setattr(labs, "load", lambda name: labs.Lab(name, tmp_path, "root", True, [], kind="rack"))
    asked = unit(tmp_path, NemesisSpec("clock", 0.1, 1.0, by_s=3600.0), lab=lab)
    nemesis.heard(asked, STEP.id, STARTED)
    begin, end = notes_until_end(nemesis)[:2]
    assert begin["text"] == "begin: clock by 3600 s for 1 s"
    assert end["text"] == "end: not done: only the guests of a lab have a clock that may be set"


def test_the_cpus_of_the_machine_around_a_rack_stay(
    tmp_path: Path, nemesis: Nemesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labs, "load", lambda name: labs.Lab(name, tmp_path, "root", True, [], kind="rack"))
    nemesis.heard(unit(tmp_path, NemesisSpec("hotplug", 0.1, 1.0), lab="shared"), STEP.id, STARTED)
    said = notes_until_end(nemesis)[1]["text"]
    assert said == "end: not done: the CPUs of this host are those of the machine that its lab is on"


def test_no_fault_befalls_a_job_that_asks_for_none(tmp_path: Path, nemesis: Nemesis) -> None:
    nemesis.heard(unit(tmp_path), STEP.id, STARTED)
    assert nemesis.close() == []


# -- as it is written ------------------------------------------------------------------------------------


def written(*asked: Any) -> dict[str, Any]:
    jobs = [{"name": "a", "workload": "command", "with": {"argv": ["x"]}, "nemesis": list(asked)}]
    return {"orch": 1, "name": "n", "jobs": jobs}


def test_a_nemesis_is_read_and_written_as_the_same() -> None:
    asked = [
        {"jitter": {"every": "30s", "for": "2s"}},
        {"memory": {"use": "25%"}},
        "kill_agent",
        {"link": {"fault": "lossy"}},
        {"pinning": {"for": "3s"}},
        {"hotplug": {"when": "between"}},
        {"clock": {"by": "30m"}},
    ]
    playbook = Playbook.model_validate(written(*asked))
    assert playbook.jobs[0].nemesis == [
        NemesisSpec("jitter", 30.0, 2.0),
        NemesisSpec("memory", 60.0, 5.0, 0.25),
        NemesisSpec("kill_agent", 60.0),
        NemesisSpec("link", 60.0, 5.0, fault="lossy"),
        NemesisSpec("pinning", 60.0, 3.0),
        NemesisSpec("hotplug", 60.0, 5.0, when="between"),
        NemesisSpec("clock", 60.0, 5.0, by_s=1800.0),
    ]
    again = playbook.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"orch": 1}
    assert Playbook.model_validate(json.loads(json.dumps(again))) == playbook


@pytest.mark.parametrize(
    "bad",
    [
        {"jiter": {}},
        {"jitter": {"evry": "5s"}},
        {"memory": {"use": 5}},
        {"link": {"fault": "burn"}},
        5,
        {},
        {"jitter": {"every": "100ms"}},
        {"jitter": [1]},
        {"kill_agent": {"for": "1s"}},
        {"pinning": {"when": "between"}},
        {"link": {"when": "now and then"}},
        {"clock": {"by": "-1h"}},
    ],
)
def test_a_nemesis_that_is_none_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="nemesis"):
        Playbook.model_validate(written(bad))
