"""The leases of a run: taken before anything is shipped, kept alive from a thread, given back at the end.

Where this process dies or is cut off, signs of life stay away and each host frees itself (`agents.keeper`). Where a host
says that the lease is gone, or nothing was heard of it for as long as a sign counts, the host is lost for the run.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from orchestrator.engine.survey import on_each
from orchestrator.errors import LinkError
from orchestrator.fleet import lease
from orchestrator.fleet.lease import Busy, Held
from orchestrator.model.address import Address
from orchestrator.model.plan import LeasePlan
from orchestrator.transport import Backoff, Opener, RetryingLink, open_link, open_retrying

#: Signs of life in the time for which one counts.
BEATS = 4
ASK_AGAIN_S = 2.0

#: What the run writes down: kind and data of a note.
Noted = Callable[[str, dict[str, Any]], object]
Say = Callable[[str], None]


class Leases:
    """Of the hosts of one run. A context manager: what is still held is given back at its end. ``refused``: host → kind
    of the note for its steps, and why."""

    def __init__(
        self,
        addresses: Sequence[Address],
        plan: LeasePlan | None,
        tune: Mapping[str, str],
        *,
        run: str,
        agent: Path,
        forks: int,
        note: Noted,
        say: Say,
        interrupted: Callable[[], bool] = lambda: False,
        opener: Opener = open_link,
    ) -> None:
        self._addresses = {a.name: a for a in addresses}
        self._plan, self._tune = plan, tune
        self._run, self._agent, self._forks = run, agent, forks
        self._note, self._say, self._interrupted = note, say, interrupted
        self._opener = opener
        self._links: dict[str, RetryingLink] = {}
        self._held: dict[str, Held] = {}
        self._heard: dict[str, float] = {}
        self._lost: dict[str, str] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.refused: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        if self._plan is not None:
            self._take_all(self._plan)
            if self._tune:
                self._tune_all()
            self._thread = threading.Thread(target=self._beat_on, name="leases", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def lost(self) -> Mapping[str, str]:
        """Host → why its lease is gone. From any thread."""
        return dict(self._lost)

    # -- taking ------------------------------------------------------------------------------------

    def _take_all(self, plan: LeasePlan) -> None:
        names = {host: lease.id_of(self._run, host) for host in self._addresses}
        until = time.monotonic() + (plan.patience_s if plan.busy == "wait" else 0.0)
        waiting = list(self._addresses.values())
        told: set[str] = set()
        while waiting:
            asked = time.monotonic()
            answers = on_each(waiting, lambda a: self._take(a, plan, names[a.name]), self._forks)
            still = []
            for host, answer in answers.items():
                if isinstance(answer, Held):
                    self._have(host, answer, asked)
                elif isinstance(answer, LinkError):
                    self._refuse(host, "step_lost", f"no lease: {answer.what}")
                elif time.monotonic() < until and not self._interrupted():
                    still.append(self._addresses[host])
                    if host not in told:
                        told.add(host)
                        self._say(f"{host}: waiting: {words(answer)}")
                else:
                    kind = "step_skipped" if plan.busy == "skip" else "step_failed"
                    self._refuse(host, kind, words(answer))
            waiting = still
            if waiting:
                self._beat_once()
                time.sleep(min(ASK_AGAIN_S, max(0.0, until - time.monotonic())))

    def _take(self, address: Address, plan: LeasePlan, name: str) -> Held | Busy:
        link = self._links.setdefault(address.name, open_retrying(address, Backoff(tries=2), self._opener))
        return lease.take(link, self._agent, address, plan, self._run, name)

    def _have(self, host: str, held: Held, asked: float) -> None:
        self._held[host] = held
        self._heard[host] = asked
        left = dict(held.put_in_order or {})
        self._note("lease", {"host": host, "status": "held", "reason": "", "put_in_order": left})
        if left:
            self._say(f"{host}: put in order what an expired lease had left: {in_order(left)}")
        self._complain(host, left.get("not_restored", {}))

    def _refuse(self, host: str, kind: str, why: str) -> None:
        self.refused[host] = (kind, why)
        self._note("lease", {"host": host, "status": "refused", "reason": why})
        self._say(f"{host}: {why}")

    # -- settings ----------------------------------------------------------------------------------

    def _tune_all(self) -> None:
        held = [self._addresses[h] for h in self._held]
        answers = on_each(
            held,
            lambda a: lease.tune(
                self._links[a.name], self._agent, a, self._held[a.name].id, dict(self._tune)
            ),
            self._forks,
        )
        for host, answer in answers.items():
            if isinstance(answer, LinkError):
                refused = dict.fromkeys(self._tune, answer.what)
                self._note("tuned", {"host": host, "reason": answer.what, "settings": {}})
            else:
                settings = answer["settings"]
                refused = {name: s["why"] for name, s in settings.items() if not s["ok"]}
                reason = "; ".join(f"{name}: {why}" for name, why in refused.items())
                self._note("tuned", {"host": host, "reason": reason, "settings": settings})
            for name, why in refused.items():
                self._say(f"{host}: {name} is not set: {why}")

    # -- keeping -----------------------------------------------------------------------------------

    def _beat_on(self) -> None:
        assert self._plan is not None
        while not self._over.wait(self._plan.ttl_s / BEATS):
            self._beat_once()

    def _beat_once(self) -> None:
        assert self._plan is not None
        alive = [self._addresses[h] for h in self._held if h not in self._lost]
        asked = time.monotonic()
        for host, answer in on_each(alive, self._beat, self._forks).items():
            if answer == 0:
                self._heard[host] = asked
            elif isinstance(answer, str):
                self._lost[host] = answer
            elif time.monotonic() - self._heard[host] > self._plan.ttl_s:
                said = answer.what if isinstance(answer, LinkError) else f"exit status {answer}"
                self._lost[host] = f"nothing heard for {self._plan.ttl_s:g} s: {said}"

    def _beat(self, address: Address) -> int | str:
        """0, or why it is lost."""
        assert self._plan is not None
        link, held = self._links[address.name], self._held[address.name]
        status = lease.beat(link, held, address.pace)
        if status == lease.ENDED:
            return "its lease has ended"
        if status == lease.UNKEPT:
            again = lease.take(link, self._agent, address, self._plan, self._run, held.id)
            if isinstance(again, Busy):
                return words(again)
            self._held[address.name] = again
        return 0

    # -- giving back -------------------------------------------------------------------------------

    def release(self) -> None:
        """Once; what cannot be given back ends by itself."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(lease.BEAT_S)
        held, self._held = self._held, {}
        answers = on_each([self._addresses[h] for h in held], lambda a: self._release(a, held), self._forks)
        for host, answer in answers.items():
            if isinstance(answer, LinkError):
                data: dict[str, Any] = {"host": host, "status": "left", "reason": answer.what}
                not_restored = dict.fromkeys(self._tune, f"the host cannot be reached: {answer.what}")
            else:
                not_restored = answer["not_restored"]
                status = "released" if answer["released"] else "gone"
                data = {"host": host, "status": status, "reason": self._lost.get(host, "")}
                data["restored"] = answer["restored"]
            data["not_restored"] = not_restored
            self._note("lease", data)
            self._complain(host, not_restored)
        for link in self._links.values():
            with contextlib.suppress(LinkError):
                link.close()
        self._links = {}

    def _release(self, address: Address, held: Mapping[str, Held]) -> dict[str, Any]:
        return lease.release(self._links[address.name], self._agent, address, held[address.name].id)

    def _complain(self, host: str, not_restored: Mapping[str, str]) -> None:
        for name, why in not_restored.items():
            self._say(f"{host}: NOT RESTORED: {name}: {why}")


def words(held: Busy) -> str:
    """Who holds a host, for a person."""
    until = time.strftime("%H:%M:%S", time.localtime(held.until))
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(held.since))
    return f"held by {held.who} since {since} for {held.what or held.run}; until {until} if it is not renewed"


def in_order(left: Mapping[str, Any]) -> str:
    parts = [f"{len(left[k])} {k}" for k in ("stopped", "orphans", "restored") if left.get(k)]
    return ", ".join(parts) or "nothing was left"
