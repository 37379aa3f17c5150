"""Asking every host what it is, in parallel, before anything is planned. A host that fails is data."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeVar

from agents.wire import Facts
from orchestrator.bundle.agent import agent_zipapp
from orchestrator.errors import LinkError, RemoteFailed
from orchestrator.fleet import preflight
from orchestrator.fleet.facts import read_facts
from orchestrator.fleet.known_facts import recall, remember
from orchestrator.model.address import Address
from orchestrator.transport import Backoff, Opener, open_link, open_retrying

FORKS = 32
PING_S = 20.0
TURN_S = 0.25

T = TypeVar("T")


class Survey(NamedTuple):
    """Each host of the survey is in ``facts`` or in ``unreachable``, in the order of the addresses."""

    facts: dict[str, Facts]
    #: why there are no facts, one line
    unreachable: dict[str, str]
    #: host clock minus this machine's, seconds; see `read_facts`
    clock_offsets: dict[str, float]
    #: seconds since it was asked, for hosts whose facts were at hand
    ages: dict[str, float]


def survey(
    addresses: Iterable[Address],
    *,
    agent: Path | None = None,
    forks: int = FORKS,
    opener: Opener = open_link,
    max_age_s: float = 0.0,
) -> Survey:
    """At most ``forks`` hosts at a time, each bounded in time. ``agent``: its archive, None for ours. ``max_age_s``: a host that was
    asked at most so long ago is not asked again."""
    archive, every = agent or agent_zipapp(), list(addresses)
    known = {a.name: at_hand for a in every if max_age_s > 0 and (at_hand := recall(a, max_age_s))}
    found = Survey({}, {}, {}, {name: age for name, (_, age) in known.items()})
    asked = on_each(
        [a for a in every if a.name not in known], lambda address: _ask(address, archive, opener), forks
    )
    for address in every:
        name = address.name
        if name in known:
            found.facts[name] = known[name][0]
            continue
        answer = asked[name]
        if isinstance(answer, LinkError):
            found.unreachable[name] = reason(answer)
        else:
            found.facts[name], found.clock_offsets[name] = answer
    return found


def ping(addresses: Iterable[Address], *, forks: int = FORKS) -> dict[str, float | LinkError]:
    """Host → seconds for connecting, login and a command that does nothing; or why there was no answer."""
    return on_each(addresses, _ping, forks)


def examine(
    addresses: Iterable[Address], wanted: preflight.Wanted, *, forks: int = FORKS
) -> dict[str, list[preflight.Finding] | LinkError]:
    """Host → what it lacks, the worst first; or why there was no answer. Nothing is written there."""

    def one(address: Address) -> list[preflight.Finding]:
        with contextlib.closing(open_retrying(address, Backoff(tries=2))) as link:
            return preflight.findings(
                address.name,
                preflight.probe(link, address.python, address.spool, address.pace),
                wanted,
            )

    return on_each(addresses, one, forks)


def on_each(
    addresses: Iterable[Address], call: Callable[[Address], T], forks: int
) -> dict[str, T | LinkError]:
    """``call`` for every host, at most ``forks`` at a time; what it returned, or the `LinkError` that it
    raised, in the order of the addresses."""
    asked = list(addresses)
    if not asked:
        return {}
    pool = ThreadPoolExecutor(max_workers=max(1, min(forks, len(asked))), thread_name_prefix="hosts")
    try:
        answers = [pool.submit(_caught, call, address) for address in asked]
        _wait_for(answers)
        return {address.name: answer.result() for address, answer in zip(asked, answers, strict=True)}
    except RuntimeError as e:
        # raised by a handler in the midst of a lock's own waiting, as a thread began
        if isinstance(e.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        # done, or interrupted: then nobody waits for hosts that say nothing
        pool.shutdown(wait=False, cancel_futures=True)


def _wait_for(answers: list[Future[T]]) -> None:
    """Until all are done, or a signal's handler raises."""
    done: SimpleQueue[Future[T]] = SimpleQueue()
    for answer in answers:
        answer.add_done_callback(done.put)
    left = len(answers)
    while left > 0:
        # A SimpleQueue, for its wait is one call in C: what a handler raises in the midst of a Condition's wait leaves it
        # with a lock that it does not hold, and comes out as a RuntimeError. In turns, for a signal that comes in
        # just before the wait is heard after it only.
        with contextlib.suppress(Empty):
            done.get(timeout=TURN_S)
            left -= 1


def _caught(call: Callable[[Address], T], address: Address) -> T | LinkError:
    try:
        return call(address)
    except LinkError as e:
        return e


def _ask(address: Address, agent: Path, opener: Opener) -> tuple[Facts, float]:
    with contextlib.closing(open_retrying(address, Backoff(tries=2), opener)) as link:
        facts, clock_offset = read_facts(link, agent, address.python, address.spool, address.pace)
    remember(address, facts)
    return facts, clock_offset


def _ping(address: Address) -> float:
    before = time.monotonic()
    with contextlib.closing(open_link(address)) as link:
        done = link.run(["true"], timeout_s=PING_S * address.pace)
    if done.exit != 0:
        raise RemoteFailed(
            address.name, f"`true` ended with {done.exit}", "is its shell one that runs commands?"
        )
    return time.monotonic() - before


def remarks(found: Survey) -> Iterator[str]:
    """One line for each host that gave no facts, or whose clock is off."""
    for host, why in found.unreachable.items():
        yield f"{host}: lost: {why}"
    for host, offset in found.clock_offsets.items():
        odd = preflight.clock_finding(offset)
        if odd is not None:
            yield f"{host}: {odd.what}; times in the report are corrected by that ({odd.hint})"


def reason(error: LinkError) -> str:
    """One line for a person; whose host it is goes without saying."""
    return f"{error.what} ({error.hint})" if error.hint else error.what
