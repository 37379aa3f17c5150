"""Faults on purpose, during launches or between them, as a job's `nemesis` asks for: when, is drawn from the seed; begin and end are noted.

A thread per fault and launch, or per fault and host where it comes between launches. Each fault ends by itself on the host, whatever becomes of this process, and reaches it over a
link of its own. What it does to the launch is found by those who find such things anyway.
"""

from __future__ import annotations

import json
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agents.wire import Entry
from orchestrator.engine.unit import Note, Unit
from orchestrator.errors import OrchError
from orchestrator.lab import faults as lab_faults
from orchestrator.lab import labs
from orchestrator.model.plan import NemesisSpec
from orchestrator.transport import Opener, open_link
from orchestrator.transport.link import Link

#: After its time a load has this long to end before it is killed on the host.
_PATIENCE_S = 10.0
_LAST_WORDS_S = 5.0


@dataclass
class _Gaps:
    """Between the launches of one job on one host."""

    #: there will be no other
    over: threading.Event = field(default_factory=threading.Event)
    #: a launch has ended, or all is over
    begins: threading.Event = field(default_factory=threading.Event)
    #: the launch that ended last
    step: str = ""
    launch: int = 0


class Nemesis:
    """Of one run. `heard`, `gone`, `through` and `said` from the thread that watches it."""

    def __init__(self, opener: Opener = open_link) -> None:
        self._opener = opener
        self._notes: queue.SimpleQueue[Note] = queue.SimpleQueue()
        #: (step, launch) → set once it has ended
        self._over: dict[tuple[str, int], threading.Event] = {}
        #: unit → what comes between its launches, for those that ask for it
        self._gaps: dict[str, _Gaps] = {}
        self._threads: list[threading.Thread] = []

    def heard(self, unit: Unit, step: str, entry: Entry) -> None:
        """An entry of a host's journal: launches begin and end."""
        key = (step, entry.launch)
        if entry.kind == "ended":
            if key in self._over:
                self._over.pop(key).set()
            if unit.key in self._gaps:
                gaps = self._gaps[unit.key]
                gaps.step, gaps.launch = key
                gaps.begins.set()
        elif entry.kind == "started" and unit.job.nemesis:
            if key not in self._over:
                over = self._over[key] = threading.Event()
                self._begin(
                    unit, "during", lambda number, spec: self._torment(unit, *key, number, spec, over)
                )
            if unit.key not in self._gaps:
                gaps = self._gaps[unit.key] = _Gaps()
                self._begin(
                    unit, "between", lambda number, spec: self._wait_for_gaps(unit, number, spec, gaps)
                )

    def _begin(self, unit: Unit, when: str, act: Callable[[int, NemesisSpec], None]) -> None:
        """A thread for each fault that comes then."""
        for number, spec in enumerate(unit.job.nemesis):
            if spec.when == when:
                thread = threading.Thread(target=act, args=(number, spec), name="nemesis", daemon=True)
                thread.start()
                self._threads.append(thread)

    def gone(self, step: str) -> None:
        """Nothing more is heard of the launches of this step: no fault is for them."""
        for key in [k for k in self._over if k[0] == step]:
            self._over.pop(key).set()

    def through(self, unit: Unit) -> None:
        """No further launch of this unit."""
        gaps = self._gaps.pop(unit.key, None)
        if gaps is not None:
            gaps.over.set()
            gaps.begins.set()

    def _torment(
        self, unit: Unit, step: str, launch: int, number: int, spec: NemesisSpec, over: threading.Event
    ) -> None:
        chance = random.Random(f"{unit.seed}|{step}|{launch}|{number}")  # noqa: S311 - repeatable, not secret
        one = _Torment(self._opener, unit, step, launch, spec, self._notes.put, chance)
        while not over.wait(one.pause()):
            one.befall(over)

    def _wait_for_gaps(self, unit: Unit, number: int, spec: NemesisSpec, gaps: _Gaps) -> None:
        chance = random.Random(f"{unit.seed}|{unit.key}|{number}")  # noqa: S311 - repeatable, not secret
        one = _Torment(self._opener, unit, "", 0, spec, self._notes.put, chance)
        while not gaps.over.wait(one.pause()):
            gaps.begins.clear()
            if not gaps.over.is_set():
                gaps.begins.wait()
            if not gaps.over.is_set():
                one.step, one.launch = gaps.step, gaps.launch
                one.befall(gaps.over)

    def said(self) -> list[Note]:
        """What has begun or ended since the last time."""
        found = []
        while not self._notes.empty():
            found.append(self._notes.get())
        return found

    def close(self) -> list[Note]:
        """No further fault; the last notes, where those under way end soon."""
        for over in self._over.values():
            over.set()
        for gaps in self._gaps.values():
            gaps.over.set()
            gaps.begins.set()
        for thread in self._threads:
            thread.join(_LAST_WORDS_S)
        return self.said()


class _Torment:
    """One fault of one launch, or of those between which it comes, again and again."""

    def __init__(
        self,
        opener: Opener,
        unit: Unit,
        step: str,
        launch: int,
        spec: NemesisSpec,
        note: Callable[[Note], None],
        chance: random.Random,
    ) -> None:
        self._opener, self._unit, self.step, self.launch = opener, unit, step, launch
        self._spec, self._note, self._chance = spec, note, chance

    def pause(self) -> float:
        """Until the next one, seconds."""
        return self._spec.every_s * self._chance.uniform(0.5, 1.5)

    def befall(self, over: threading.Event) -> None:
        self._say("begin", self._text())
        try:
            text = _DO[self._spec.name](self, over)
        except OrchError as e:
            text = f"not done: {e.what}"
        self._say("end", text)

    def _text(self) -> str:
        spec = self._spec
        words = [spec.name, spec.fault, f"by {spec.by_s:g} s" if spec.by_s else ""]
        words += [f"for {spec.for_s:g} s" if spec.for_s else ""]
        words += [f"after launch {self.launch}" if spec.when == "between" else ""]
        return " ".join(word for word in words if word)

    def _say(self, phase: str, text: str) -> None:
        unit = self._unit
        about: dict[str, Any] = {"host": unit.address.name, "job": unit.job.name, "step": self.step}
        fault = {"launch": self.launch, "fault": self._spec.name, "phase": phase, "text": f"{phase}: {text}"}
        self._note(Note("nemesis", {**about, **fault}))

    # -- the faults --------------------------------------------------------------------------------

    def jitter(self, _over: threading.Event) -> str:
        """Others want the CPUs, in short bursts, and timers go off."""
        return self._load(["--cpu", "0", "--cpu-load", "50", "--switch", "2", "--timer", "1"])

    def memory(self, _over: threading.Event) -> str:
        """A share of what memory is available is taken and written again and again."""
        return self._load(["--vm", "1", "--vm-bytes", f"{self._spec.use * 100:g}%", "--vm-keep"])

    def _load(self, stressors: list[str]) -> str:
        lasts = max(1, round(self._spec.for_s))
        kill = ["timeout", "--signal=KILL", str(lasts + _PATIENCE_S)]
        argv = [*kill, "stress-ng", *stressors, "--timeout", f"{lasts}s", "--temp-path", "/tmp", "--quiet"]  # noqa: S108 - on the host
        done = self._on_host(lambda link: link.run(argv, timeout_s=lasts + 3 * _PATIENCE_S))
        if done.exit == 127:
            return "not done: stress-ng is not on the host (package stress-ng of Debian)"
        return "done" if done.exit == 0 else f"stress-ng ended with exit status {done.exit}"

    def kill_agent(self, _over: threading.Event) -> str:
        """SIGKILL for the process that watches the launch."""
        unit = self._unit
        pid_file = f"{unit.spool}/runs/{unit.run}/{self.step}/{self.launch}/pid"
        said = self._on_host(lambda link: link.run(["cat", pid_file]))
        try:
            pid = int(json.loads(said.stdout)["pid"])
        except (ValueError, KeyError, TypeError):
            return "not done: no agent watches this launch any more"
        done = self._on_host(lambda link: link.run(["kill", "-9", str(pid)]))
        return f"process {pid} killed" if done.exit == 0 else "not done: it had ended"

    def link(self, over: threading.Event) -> str:
        """Its cable in a lab."""
        address = self._unit.address
        if not address.lab:
            return "not done: it is no host of a lab"
        lab_faults.befall(address.lab, self._spec.fault, address.name)
        try:
            over.wait(self._spec.for_s)
        finally:
            lab_faults.befall(address.lab, "heal", address.name)
        return "healed"

    def pinning(self, _over: threading.Event) -> str:
        """The launch's threads are put onto CPUs that chance gives them."""
        return self._vex()

    def hotplug(self, _over: threading.Event) -> str:
        """A CPU goes and comes back."""
        if self._kind_of_lab() not in ("", "guest"):
            return "not done: the CPUs of this host are those of the machine that its lab is on"
        return self._vex()

    def clock(self, _over: threading.Event) -> str:
        """The wall clock is ahead for a while."""
        if self._kind_of_lab() != "guest":
            return "not done: only the guests of a lab have a clock that may be set"
        return self._vex("--by", f"{self._spec.by_s:g}")

    def _vex(self, *words: str) -> str:
        """The agent does it."""
        unit, spec = self._unit, self._spec
        argv = [unit.address.python, unit.agent, "vex", "--spool", unit.spool, "--what", spec.name]
        argv += ["--for", f"{spec.for_s:g}", "--seed", str(self._chance.randrange(2**31)), *words]
        if spec.when == "during":
            argv += ["--run", unit.run, "--step", self.step, "--launch", str(self.launch)]
        done = self._on_host(lambda link: link.run(argv, timeout_s=spec.for_s + 3 * _PATIENCE_S))
        try:
            said = json.loads(done.stdout) if done.exit == 0 else {}
            return ("done: " if said["done"] else "not done: ") + str(said["text"])
        except (ValueError, KeyError, TypeError):
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            return f"went wrong: {' '.join(last) or f'exit status {done.exit}'}"

    def _kind_of_lab(self) -> str:
        """Empty for a host of none. Raises InputError."""
        lab = self._unit.address.lab
        return labs.load(lab).kind if lab else ""

    def _on_host(self, verb: Callable[[Link], Any]) -> Any:
        """Raises LinkError."""
        link = self._opener(self._unit.address)
        try:
            return verb(link)
        finally:
            link.close()


_DO: dict[str, Callable[[_Torment, threading.Event], str]] = {
    "jitter": _Torment.jitter,
    "memory": _Torment.memory,
    "kill_agent": _Torment.kill_agent,
    "link": _Torment.link,
    "pinning": _Torment.pinning,
    "hotplug": _Torment.hotplug,
    "clock": _Torment.clock,
}
