"""What happens to hosts, done to a host of a lab on purpose. Adding one: a function, and a line in `FAULTS`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import InputError, SetupError
from orchestrator.lab import kernel_faults, labs, life, processes, rack
from orchestrator.lab.labs import Lab, LabHost

_WIRE = Path(__file__).parent / "wire.py"
_STILL_S = 30.0


@dataclass(frozen=True)
class Severity:
    """How bad: each fault takes what it needs."""

    bytes_per_s: float = 125_000.0
    loss_percent: float = 5.0
    delay_s: float = 0.05


Change = Callable[[Lab, LabHost, Severity], LabHost]


def _kill(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """the host dies at once, with everything on it"""
    life.kind_of(lab).end(lab, host)
    return host


def _revive(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """a dead host is started again, with its disk"""
    if host.alive:
        raise InputError(f"lab {lab.name}", f"{host.name} is alive")
    return life.kind_of(lab).start(lab, host)


def _cut(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """its cable is pulled: nothing reaches it, and nobody is told"""
    _has_a_cable(lab, host)
    rack.run_ip(lab, [f"link set {rack.port(host)} down"])
    return _with(host, cut=1.0)


def _heal(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """cable and disk are as they were made"""
    _has_a_rack(lab)
    if host.alive:
        host = _straight(lab, host)
        rack.run_ip(lab, [f"link set {rack.port(host)} up"])
    if "disk-full" in host.faults:
        _resize(lab, host, str(lab.disk_bytes))
    return replace(host, faults={k: v for k, v in host.faults.items() if k == "frozen"})


def _freeze(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """its processes stand still; its kernel still answers, as when a machine has no memory left"""
    _lives(lab, host)
    _signal(lab, host, signal.SIGSTOP)
    return _with(host, frozen=1.0)


def _thaw(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """its processes go on"""
    _lives(lab, host)
    _signal(lab, host, signal.SIGCONT)
    return replace(host, faults={k: v for k, v in host.faults.items() if k != "frozen"})


def _disk_full(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """not a byte fits on its disk any more"""
    _has_a_rack(lab)
    _resize(lab, host, "")
    return _with(host, **{"disk-full": 1.0})


def _slow(lab: Lab, host: LabHost, how: Severity) -> LabHost:
    """its cable carries so many bytes per second, each way (--rate)"""
    return _wired(lab, _with(host, slow=how.bytes_per_s))


def _lossy(lab: Lab, host: LabHost, how: Severity) -> LabHost:
    """its cable loses a share of the frames, each way (--percent)"""
    return _wired(lab, _with(host, lossy=how.loss_percent))


def _delayed(lab: Lab, host: LabHost, how: Severity) -> LabHost:
    """its cable takes its time, each way (--delay)"""
    return _wired(lab, _with(host, delayed=how.delay_s))


def _oops(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """its kernel reads through a null pointer, says so, and goes on"""
    _has_a_kernel(lab, host)
    kernel_faults.oops(lab, host)
    return _with(host, oops=1.0)


def _lockup(lab: Lab, host: LabHost, _how: Severity) -> LabHost:
    """one of its CPUs is stuck in the kernel until that has noticed"""
    _has_a_kernel(lab, host)
    kernel_faults.lock_up(lab, host)
    return host


FAULTS: dict[str, Change] = {
    "cut": _cut,
    "heal": _heal,
    "kill": _kill,
    "revive": _revive,
    "freeze": _freeze,
    "thaw": _thaw,
    "disk-full": _disk_full,
    "slow": _slow,
    "lossy": _lossy,
    "delayed": _delayed,
    "oops": _oops,
    "lockup": _lockup,
}


def befall(name: str, what: str, host: str, how: Severity | None = None) -> Lab:
    """Do ``what`` to ``host``. Raises InputError where there is no such lab, fault or host, or where hosts of its kind have
    nothing that it could be done to."""
    if what not in FAULTS:
        raise InputError(f"lab {name}", f"no fault {what}", "there are: " + ", ".join(FAULTS))
    with labs.locked(name):
        lab = labs.load(name)
        lab = lab.having(FAULTS[what](lab, lab.host(host), how or Severity()))
        labs.save(lab)
        return lab


def _with(host: LabHost, **faults: float) -> LabHost:
    return replace(host, faults={**host.faults, **faults})


def _has_a_rack(lab: Lab) -> None:
    if lab.kind != "rack":
        what = f"its hosts have no cable and no disk of their own: it is a lab of the kind {lab.kind}"
        raise InputError(f"lab {lab.name}", what, "orch lab up NAME --hosts N")


def _has_a_kernel(lab: Lab, host: LabHost) -> None:
    if lab.kind != "guest":
        what = f"its hosts share this machine's kernel: it is a lab of the kind {lab.kind}"
        raise InputError(f"lab {lab.name}", what, "orch lab up NAME --numa 2x1")
    _lives(lab, host)
    if "frozen" in host.faults:
        what = f"{host.name} stands still"
        raise InputError(f"lab {lab.name}", what, f"orch lab fault {lab.name} thaw {host.name}")


def _lives(lab: Lab, host: LabHost) -> None:
    if not lab.isolated:
        raise InputError(f"lab {lab.name}", "its hosts are not told apart: this machine has no namespaces")
    if not host.alive:
        raise InputError(
            f"lab {lab.name}", f"{host.name} is dead", f"orch lab fault {lab.name} revive {host.name}"
        )


def _has_a_cable(lab: Lab, host: LabHost) -> None:
    _has_a_rack(lab)
    _lives(lab, host)


def _signal(lab: Lab, host: LabHost, number: signal.Signals) -> None:
    """To each process of the host, until none is left that has not heard: one may start another meanwhile."""
    assert host.sshd is not None
    stopped = number == signal.SIGSTOP
    deadline = time.monotonic() + _STILL_S
    while time.monotonic() < deadline:
        every = [host.sshd, *processes.descendants(host.sshd)]
        other = [p for p in every if processes.stands_still(p) is (not stopped)]
        if not other:
            return
        for process in other:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        time.sleep(0.01)
    raise SetupError(f"lab {lab.name}", f"not every process of {host.name} could be sent {number.name}")


def _resize(lab: Lab, host: LabHost, size: str) -> None:
    """The size of its disk in bytes; empty for what is on it now."""
    script = """
    set -e
    set -- "$1" "$2" $(stat -f -c '%b %f %S' "$1")
    mount -o "remount,size=${2:-$((($3 - $4) * $5))}" "$1"
    """
    argv = [*rack.inside(lab), "sh", "-c", script, "sh", str(lab.path / "mnt" / host.name), size]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise SetupError(f"lab {lab.name}", f"the disk of {host.name} keeps its size: {done.stderr.strip()}")


def _wired(lab: Lab, host: LabHost) -> LabHost:
    """A cable with a relay in it, which does what ``host.faults`` says. From the bridge: x, w, relay, v, the host's card."""
    _has_a_cable(lab, host)
    host = _straight(lab, host)
    outer, inner, far = rack.port(host), f"w{host.name[1:]}", f"x{host.name[1:]}"
    lines = [f"link add {inner} type veth peer name {far}", f"link set {outer} nomaster"]
    rack.run_ip(lab, [*lines, f"link set {far} master br0 up", f"link set {inner} up"])
    of = host.faults
    numbers = [of.get("delayed", 0.0), of.get("lossy", 0.0) / 100.0, of.get("slow", 0.0)]
    argv = [*rack.inside(lab), sys.executable, "-IS", str(_WIRE), outer, inner, *map(str, numbers)]
    log = lab.path / host.name / "wire.log"
    said, says = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        pid = processes.spawn(
            argv, {labs.MARK: str(lab.path / host.name), "PATH": rack.path()}, log, (nothing, says)
        )
    finally:
        os.close(nothing)
        os.close(says)
    with os.fdopen(said) as answer:
        ready = answer.readline()
    relay = processes.only_child(pid)
    if ready != "ready\n" or relay is None:
        _straight(lab, host)
        raise SetupError(f"lab {lab.name}", f"no bad cable for {host.name}: {log.read_text().strip()[-200:]}")
    return replace(host, relay=relay)


def _straight(lab: Lab, host: LabHost) -> LabHost:
    """The cable without a relay in it."""
    if host.relay is not None:
        processes.end(host.relay)
        lines = [f"link del w{host.name[1:]}", f"link set {rack.port(host)} master br0"]
        rack.run_ip(lab, lines, force=True)
    return replace(host, relay=None)
