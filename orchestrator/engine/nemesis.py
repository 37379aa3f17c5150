"""Faults on purpose while jobs measure, as their `nemesis` asks for: when, is drawn from the seed; begin and end are noted.

A thread per fault and launch. Each fault ends by itself on the host, whatever becomes of this process, and reaches it over a
link of its own. What it does to the launch is found by those who find such things anyway.
"""

from __future__ import annotations

import json
import queue
import random
import threading
from collections.abc import Callable
from typing import Any

from agents.wire import Entry
from orchestrator.engine.unit import Note, Unit
from orchestrator.errors import OrchError
from orchestrator.lab import faults as lab_faults
from orchestrator.model.plan import NemesisSpec
from orchestrator.transport import Opener, open_link
from orchestrator.transport.link import Link

#: After its time a load has this long to end before it is killed on the host.
_PATIENCE_S = 10.0
_LAST_WORDS_S = 5.0


class Nemesis:
    """Of one run. `heard`, `gone` and `said` from the thread that watches it."""

    def __init__(self, opener: Opener = open_link) -> None:
        self._opener = opener
        self._notes: queue.SimpleQueue[Note] = queue.SimpleQueue()
        #: (step, launch) → set once it has ended
        self._over: dict[tuple[str, int], threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def heard(self, unit: Unit, step: str, entry: Entry) -> None:
        """An entry of a host's journal: launches begin and end."""
        key = (step, entry.launch)
        if entry.kind == "ended" and key in self._over:
            self._over.pop(key).set()
        elif entry.kind == "started" and unit.job.nemesis and key not in self._over:
            over = self._over[key] = threading.Event()
            for number, spec in enumerate(unit.job.nemesis):
                about = (unit, step, entry.launch, number, spec, over)
                thread = threading.Thread(target=self._torment, args=about, name="nemesis", daemon=True)
                thread.start()
                self._threads.append(thread)

    def gone(self, step: str) -> None:
        """Nothing more is heard of the launches of this step: no fault is for them."""
        for key in [k for k in self._over if k[0] == step]:
            self._over.pop(key).set()

    def _torment(
        self, unit: Unit, step: str, launch: int, number: int, spec: NemesisSpec, over: threading.Event
    ) -> None:
        chance = random.Random(f"{unit.seed}|{step}|{launch}|{number}")  # noqa: S311 - repeatable, not secret
        _Torment(self._opener, unit, step, launch, spec, self._notes.put).go_on(over, chance)

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
        for thread in self._threads:
            thread.join(_LAST_WORDS_S)
        return self.said()


class _Torment:
    """One fault of one launch, again and again."""

    def __init__(
        self,
        opener: Opener,
        unit: Unit,
        step: str,
        launch: int,
        spec: NemesisSpec,
        note: Callable[[Note], None],
    ) -> None:
        self._opener, self._unit, self._step, self._launch = opener, unit, step, launch
        self._spec, self._note = spec, note

    def go_on(self, over: threading.Event, chance: random.Random) -> None:
        while not over.wait(self._spec.every_s * chance.uniform(0.5, 1.5)):
            self._say("begin", self._text())
            try:
                text = _DO[self._spec.name](self, over)
            except OrchError as e:
                text = f"not done: {e.what}"
            self._say("end", text)

    def _text(self) -> str:
        spec = self._spec
        name = f"{spec.name} {spec.fault}".strip()
        return f"{name} for {spec.for_s:g} s" if spec.for_s else name

    def _say(self, phase: str, text: str) -> None:
        unit = self._unit
        about: dict[str, Any] = {"host": unit.address.name, "job": unit.job.name, "step": self._step}
        fault = {"launch": self._launch, "fault": self._spec.name, "phase": phase, "text": f"{phase}: {text}"}
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
        pid_file = f"{unit.spool}/runs/{unit.run}/{self._step}/{self._launch}/pid"
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
}
