"""Have one run of the explorer again, from its token, here or on another host.

A token is `build:subject:scenario:strategy:model:seed:…`, and the rest is the program's own affair: that of the very
source makes of it what it made before, on any host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.bundle.build import build, default_source, is_source, kept
from orchestrator.bundle.digest import source_digest
from orchestrator.bundle.manifest import Variant
from orchestrator.engine.ship import blob_path, ship
from orchestrator.errors import InputError, RemoteFailed
from orchestrator.model.address import Address
from orchestrator.transport import Completed, open_link

_BUILD = re.compile(r"[0-9a-f]{16}")
_PARTS = ("build", "subject", "scenario", "strategy", "model", "seed")


@dataclass(frozen=True)
class Replayed:
    """``violation``: the record of what was found, None where the run was as it should be. ``result``: its last record."""

    token: str
    host: str
    violation: Mapping[str, Any] | None
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trace(self) -> list[str]:
        """Its steps, a line each."""
        lines = (self.violation or {}).get("trace", [])
        return [str(line) for line in lines] if isinstance(lines, list) else [str(lines)]


def parts_of(token: str) -> dict[str, str]:
    """Raises InputError where it is no token."""
    parts = token.strip().split(":")
    if len(parts) < len(_PARTS) or not _BUILD.fullmatch(parts[0]) or not all(parts[: len(_PARTS)]):
        where = token if len(token) <= 60 else token[:60] + "…"
        raise InputError(
            f"token {where!r}", f"is none: one is {':'.join(_PARTS)}:…", "copy it whole from the finding"
        )
    return dict(zip(_PARTS, parts, strict=False))


def explorer_of(digest: str) -> Variant:
    """The explorer of these sources: built from the tree where it is of them, else from the cache.
    Raises InputError where neither is, SetupError and BuildError as `build` does."""
    source = default_source()
    here = source_digest(source) if is_source(source) else ""
    if digest == here:
        return build(source, ("explore",)).variant("explore")
    found = kept(digest, "explore")
    if found is None:
        raise InputError(
            "token",
            f"is of source {digest}, and the tree here is {here or 'not there'}",
            "check out the sources that it was found in; `git_commit` of its run names them",
        )
    return found


def replay(token: str, address: Address, timeout_s: float) -> Replayed:
    """Raises InputError (no token, sources that are gone, what the program refuses), LinkError (the host),
    RemoteFailed where it answered with something else than records."""
    explorer = explorer_of(parts_of(token)["build"])
    link = open_link(address)
    try:
        program = explorer.file
        if not address.local:
            shipped = ship(link, {explorer.sha256: Path(explorer.file)}, address.spool)
            program = blob_path(shipped.spool, explorer.sha256)
        done = link.run([program, "replay", token.strip()], timeout_s=timeout_s)
    finally:
        link.close()
    return _read(token, address.name, done)


def _read(token: str, host: str, done: Completed) -> Replayed:
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.exit == 2:
        why = said[-1].removeprefix("orch-harness: replay: ") if said else "was refused"
        raise InputError("token", why.removesuffix("; list shows them"), "copy it whole from the finding")
    records = []
    for line in done.stdout.decode(errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    results = [r for r in records if isinstance(r, dict) and r.get("type") == "result"]
    if not results:
        raise RemoteFailed(host, f"the replay gave no result: {said[-1] if said else f'exit {done.exit}'}")
    violations = [r for r in records if isinstance(r, dict) and r.get("type") == "violation"]
    return Replayed(token.strip(), host, violations[0] if violations else None, results[-1])
