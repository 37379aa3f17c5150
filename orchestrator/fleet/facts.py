"""Reading what a host is, over a `Link`, without leaving anything on it.

The agent travels as bytes on standard input and runs from memory, so a host can be planned for
before anything has been agreed to be written there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from agents.bootstrap import BOOTSTRAP
from agents.wire import Facts, WireError, decode
from orchestrator.errors import RemoteFailed
from orchestrator.transport import Completed, Link

FACTS_TIMEOUT_S = 60.0
#: exit statuses of a shell that could not start the interpreter
_NO_PYTHON = (126, 127)
_OLD_PYTHON = 6


def read_facts(link: Link, agent: Path, python: str, spool: str, pace: float = 1.0) -> tuple[Facts, float]:
    """``pace``: see `Address.pace`. Facts, and the host's wall clock minus this machine's in seconds.

    The offset is what the reading proves: 0 where the two clocks may agree, else by how much the host's
    is at least behind (negative) or ahead. Raises `LinkError`; RemoteFailed where the host has no Python that fits, or answers garbage.
    """
    archive = agent.read_bytes()
    argv = [python, "-c", BOOTSTRAP, "facts", "--spool", spool]
    before = time.time()
    done = link.run(argv, stdin=archive, timeout_s=FACTS_TIMEOUT_S * pace)
    after = time.time()
    facts = _facts(link.host, python, done)
    return facts, min(0.0, facts.clock_s - before) + max(0.0, facts.clock_s - after)


def _facts(host: str, python: str, done: Completed) -> Facts:
    if done.exit in _NO_PYTHON:
        raise RemoteFailed(
            host, f"no Python on the host: {_said(done)}", f"set `python:` of {host} in the inventory"
        )
    if done.exit == _OLD_PYTHON:
        raise RemoteFailed(host, _said(done), f"set `python:` of {host} in the inventory to a newer one")
    if done.exit != 0:
        how = f"exit {done.exit}" if done.exit > 0 else f"signal {-done.exit}"
        raise RemoteFailed(host, f"the agent failed with {how} under {python}: {_said(done)}")
    try:
        return decode(Facts, json.loads(_last(done.stdout)))
    except (WireError, ValueError) as e:
        shown = done.stdout[:120].decode(errors="replace")
        hint = f"is `python:` of {host} a Python?" if not done.stdout.strip() else ""
        what = f"the agent's answer is no facts: {e}; it begins {shown!r}"
        raise RemoteFailed(host, what, hint) from e


def _last(output: bytes) -> bytes:
    """The last line: a shell's start-up file may have printed something before it."""
    lines: Sequence[bytes] = output.strip().splitlines()
    return lines[-1] if lines else b""


def _said(done: Completed) -> str:
    """The last line of its standard error: of a traceback, the one that says what it was."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it said nothing"
