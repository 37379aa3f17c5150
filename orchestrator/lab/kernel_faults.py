"""What befalls the kernel of a guest, for real: a debugger writes other code over a function that nobody calls, and then it is called.

The function is the one that is asked when `/proc/execdomains` is read, a file without a use; what was written over is put back.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping

from orchestrator.errors import InputError, SetupError
from orchestrator.lab import life
from orchestrator.lab.debugger import Debugger
from orchestrator.lab.guest import Shape
from orchestrator.lab.labs import Lab, LabHost

_FUNCTION, _FILE = "execdomains_proc_show", "/proc/execdomains"
#: xor eax,eax; mov eax,[rax]: reads where there is nothing
_DIES = bytes.fromhex("31c08b00")
#: jmp to itself
_STUCK = bytes.fromhex("ebfe")
#: xor eax,eax; ret
_RETURNS = bytes.fromhex("31c0c3")
#: what an indirect jump has to meet; stays
_LANDING = bytes.fromhex("f30f1efa")

#: Bits of /proc/sys/kernel/tainted.
DIED, LOCKED_UP = 1 << 7, 1 << 14
#: The kernel calls a CPU stuck after twice so long.
_THRESHOLD_S = 2
#: For so long it is, and where that was not noticed, once more for longer.
_STUCK_S = (15.0, 60.0)
_SOON_S = 120.0
#: Each with what it is to be. To read one of the last two makes it what is read, so they are written together.
_WATCH = {"watchdog_thresh": str(_THRESHOLD_S), "soft_watchdog": "1", "watchdog": "1"}


def oops(lab: Lab, host: LabHost) -> None:
    """A process is in the kernel when that reads through a null pointer: it dies of it, and the kernel goes on. Raises SetupError where
    it did not come to that."""
    with _instead(lab, host, _DIES):
        _on(lab, host, f"cat {_FILE}")
    if not _taints(lab, host) & DIED:
        raise SetupError(f"lab {lab.name}", f"{host.name}: its kernel has not died of what it did")


def lock_up(lab: Lab, host: LabHost) -> None:
    """A CPU, the last one, is in the kernel and does not come out for seconds, which that notices. Raises SetupError where it has not,
    InputError where it is the only one."""
    last = Shape.parse(lab.shape).cpus - 1
    if last == 0:
        what = f"{host.name} has one CPU, and nothing would be left that notices"
        raise InputError(f"lab {lab.name}", what, "orch lab up NAME --numa 2x1")
    before = _on(lab, host, "cd /proc/sys/kernel; cat " + " ".join(_WATCH)).split()
    if len(before) != len(_WATCH):
        raise SetupError(
            f"lab {lab.name}", f"{host.name} does not tell how its kernel looks after stuck CPUs"
        )
    _set(lab, host, _WATCH)
    try:
        for seconds in _STUCK_S:
            _stuck(lab, host, last, seconds)
            if _taints(lab, host) & LOCKED_UP:
                return
        raise SetupError(f"lab {lab.name}", f"{host.name}: its kernel has not noticed that a CPU is stuck")
    finally:
        _set(lab, host, dict(zip(_WATCH, before, strict=True)))


def _stuck(lab: Lab, host: LabHost, cpu: int, seconds: float) -> None:
    with _instead(lab, host, _STUCK) as write:
        stuck = subprocess.Popen(
            _at(lab, host, f"taskset -c {cpu} cat {_FILE}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            time.sleep(seconds)
        finally:
            write(_RETURNS)
            with contextlib.suppress(subprocess.TimeoutExpired):
                stuck.wait(_SOON_S)
            stuck.kill()
            stuck.wait()


def _set(lab: Lab, host: LabHost, settings: Mapping[str, str]) -> None:
    _on(lab, host, "; ".join(f"echo {value} >/proc/sys/kernel/{name}" for name, value in settings.items()))


@contextlib.contextmanager
def _instead(lab: Lab, host: LabHost, code: bytes) -> Iterator[Callable[[bytes], None]]:
    """``code`` in place of the function's own. Gives what writes other code there."""
    folder = lab.path / host.name
    said = _on(lab, host, f"grep -w {_FUNCTION} /proc/kallsyms").split()
    at = int(said[0], 16) if said else 0
    if not at:
        raise SetupError(f"lab {lab.name}", f"the kernel of {host.name} does not tell where {_FUNCTION} is")
    with Debugger(folder) as attached:
        own = attached.read(at, 16)
        if own.startswith(_LANDING):
            at, own = at + len(_LANDING), own[len(_LANDING) :]
        attached.write(at, code)

    def write(other: bytes) -> None:
        with Debugger(folder) as attached:
            attached.write(at, other)

    try:
        yield write
    finally:
        write(own)


def _taints(lab: Lab, host: LabHost) -> int:
    return int(_on(lab, host, "cat /proc/sys/kernel/tainted") or 0)


def _on(lab: Lab, host: LabHost, script: str) -> str:
    """What it says, whatever became of it."""
    try:
        done = subprocess.run(
            _at(lab, host, script), capture_output=True, text=True, timeout=_SOON_S, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise SetupError(f"lab {lab.name}", f"{host.name} does not answer") from e
    return done.stdout


def _at(lab: Lab, host: LabHost, script: str) -> list[str]:
    return life.kind_of(lab).at(lab, host, ["sh", "-c", script])
