"""A host whose links end as written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.errors import LinkError
from orchestrator.transport import Completed, Link, Streaming


class Script:
    """A host whose openings and verbs end as written, in order: None is well, else the error."""

    def __init__(self, openings: Sequence[LinkError | None], verbs: Sequence[LinkError | None] = ()) -> None:
        self.openings = list(openings)
        self.verbs = list(verbs)
        self.opened = 0
        self.closed = 0
        self.tried = 0

    def open(self) -> Link:
        self.opened += 1
        self._next(self.openings)
        return _ScriptedLink(self)

    def verb(self) -> None:
        self.tried += 1
        self._next(self.verbs)

    @staticmethod
    def _next(script: list[LinkError | None]) -> None:
        error = script.pop(0) if script else None
        if error is not None:
            raise error


class _ScriptedLink:
    host = "h"

    def __init__(self, script: Script) -> None:
        self._script = script

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        self._script.verb()
        return Completed(0, b"", b"")

    @contextlib.contextmanager
    def stream(self, argv: Sequence[str], *, stdin: bytes = b"", idle_s: float = 60.0) -> Iterator[Streaming]:
        self._script.verb()
        yield _ScriptedStreaming(self._script)

    def put(self, source: Path, target: str, *, mode: int = 0o644, timeout_s: float = 600.0) -> None:
        self._script.verb()

    def get(self, source: str, target: Path, *, timeout_s: float = 600.0) -> None:
        self._script.verb()

    def close(self) -> None:
        self._script.closed += 1


class _ScriptedStreaming:
    def __init__(self, script: Script) -> None:
        self._script = script

    def chunks(self) -> Iterator[bytes]:
        yield b"x"
        self._script.verb()

    def exit(self) -> int:
        return 0

    def stderr(self) -> bytes:
        return b""
