"""What a core dump says, in lines for a journal: where each thread was, by gdb where the host has it; otherwise why nothing is known."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import List

#: gdb is slow where a program is large, and a launch must come to its end.
PATIENCE_S = 20.0
_FRAMES = 16
_LINES = 120


def backtrace(program: str, core: str) -> List[str]:
    """``program``: path of what dumped it."""
    gdb = shutil.which("gdb")
    if gdb is None:
        return ["no backtrace: gdb is not installed here"]
    words = [gdb, "-n", "-batch", "-ex", "thread apply all backtrace %d" % _FRAMES, program, core]
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "DEBUGINFOD_URLS": ""},
        )
    except OSError as e:
        return ["no backtrace: gdb cannot be started: %s" % e.strerror]
    try:
        said, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return ["no backtrace: gdb took longer than %g s" % PATIENCE_S]
    lines = [line.rstrip() for line in said.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line.startswith(("#", "Thread ", "Program terminated"))]
    return told[:_LINES] or ["no backtrace: gdb says nothing of %s" % core]


def elsewhere() -> str:
    """Where a core dump went that does not lie in the launch's folder."""
    try:
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    except OSError:
        pattern = ""
    if pattern.startswith("|"):
        return "handed to %s by core_pattern: no backtrace here" % pattern[1:].split(" ")[0]
    return "where the system keeps them (core_pattern %s): no backtrace here" % (pattern or "cannot be read")
