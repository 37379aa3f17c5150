"""Asking every host what it is, in parallel, before anything is planned. A host that fails is data."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from agents.wire import Facts
from orchestrator.bundle.agent import agent_zipapp
from orchestrator.errors import LinkError
from orchestrator.fleet.facts import read_facts
from orchestrator.model.address import Address
from orchestrator.transport import open_retrying

FORKS = 32


class Survey(NamedTuple):
    """Each host of the survey is in ``facts`` or in ``unreachable``, in the order of the addresses."""

    facts: dict[str, Facts]
    #: why there are no facts, one line
    unreachable: dict[str, str]
    #: host clock minus this machine's, seconds; see `read_facts`
    clock_offsets: dict[str, float]


def survey(addresses: Iterable[Address], *, agent: Path | None = None, forks: int = FORKS) -> Survey:
    """At most ``forks`` hosts at a time, each bounded in time. ``agent``: its archive, None for ours."""
    asked = list(addresses)
    archive = agent or agent_zipapp()
    found = Survey({}, {}, {})
    if not asked:
        return found
    with ThreadPoolExecutor(max_workers=max(1, min(forks, len(asked))), thread_name_prefix="survey") as pool:
        answers = pool.map(lambda address: _ask(address, archive), asked)
        for address, answer in zip(asked, answers, strict=True):
            if isinstance(answer, LinkError):
                found.unreachable[address.name] = _reason(answer)
            else:
                found.facts[address.name], found.clock_offsets[address.name] = answer
    return found


def _ask(address: Address, agent: Path) -> tuple[Facts, float] | LinkError:
    link = open_retrying(address)
    try:
        return read_facts(link, agent, address.python, address.spool)
    except LinkError as e:
        return e
    finally:
        link.close()


def _reason(error: LinkError) -> str:
    return f"{error.what} ({error.hint})" if error.hint else error.what
