"""Standard output and error whose reader may leave: `orch … | head`, a terminal that was closed.

What is written after that goes nowhere, and the command goes on to its own end: a run is not given up,
and its exit code is the run's, not that of the pipe.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: nobody reads the pipe any more; the terminal is gone
_GONE = (errno.EPIPE, errno.EIO)


class Leaving(io.FileIO):
    """A file descriptor that becomes /dev/null once nobody reads it. Another error (disk full) is raised, once."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as e:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if e.errno not in _GONE:
                raise
        return super().write(data)


def outlive_readers() -> None:
    """Replace the process's standard output and error; for `main` only."""
    sys.stdout, sys.stderr = _outliving(sys.stdout), _outliving(sys.stderr)


def _outliving(stream: TextIO | None) -> TextIO:
    if stream is None:  # the descriptor was closed before we began (`>&-`)
        return Path(os.devnull).open("w", encoding="utf-8")
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Leaving(stream.fileno())),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.isatty() or stream is sys.stderr,
    )
