"""A lab of guests: emulated machines with so many CPUs on so many NUMA nodes, each with a kernel and an sshd of its own.

Their network leads to one forwarded port on loopback each, and nowhere else. What they keep lies in memory: a guest that is killed forgets it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.lab import debugger, guest, initramfs, labs, processes, sshd, userland
from orchestrator.lab.guest import Shape
from orchestrator.lab.labs import MARK, Lab, LabHost
from orchestrator.lab.life import raised

HOSTS_MAX = 16
_FIRST = Path(__file__).parent / "guest.sh"
_READY = "::guest ready"
#: on two busy cores 64 CPUs take four minutes
_START_S, _PER_CPU_S = 240.0, 15.0
_GREETING_S = 60.0


def up(name: str, shape: Shape, count: int = 1, say: Callable[[str], None] = lambda _: None) -> Lab:
    """Make a lab of ``count`` guests. Raises InputError for a name in use, SetupError where this machine lacks
    something."""
    if not 1 <= count <= HOSTS_MAX:
        raise InputError("lab", f"{count} guests", f"from 1 to {HOSTS_MAX}")
    sshd.program()
    base = userland.archive(guest.kernel())
    fast = kvm(base)
    say(f"guests of {shape}, {'under KVM' if fast else 'emulated: KVM does not work here'}")
    blank = Lab(
        name,
        Path(),
        "root",
        isolated=True,
        hosts=[],
        kind="guest",
        shape=shape.text,
        kvm=fast,
    )
    return raised(name, lambda path: _build(replace(blank, path=path), count, base))


def kvm(base: Path) -> bool:
    """Whether KVM works, found by having it boot something: a /dev/kvm may open and then hang."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.TemporaryDirectory(prefix="orch-guest-") as folder:
        init = Path(folder) / "init"
        init.write_text(f"#!/bin/sh\n/usr/bin/mount -t devtmpfs dev /dev\necho {guest.OVER} >/dev/console\n")
        return guest.kvm_works(init, base)


def _build(lab: Lab, count: int, base: Path) -> Lab:
    sshd.keygen(lab.path / "user", f"orch-lab-{lab.name}")
    for number in range(1, count + 1):
        host = LabHost(f"h{number}", "127.0.0.1", _free_port())
        lab = lab.having(host)
        _write_host(lab, host, base)
    labs.save(lab)
    labs.write_reachable(lab)
    for host in lab.hosts:
        lab = lab.having(_start(lab, host))
        labs.save(lab)
    for host in lab.hosts:
        _await(lab, host)
    return lab


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_host(lab: Lab, host: LabHost, base: Path) -> None:
    """Its folder, with the archive that it boots from: what all guests have, and then what is its own."""
    folder = lab.path / host.name
    folder.mkdir(mode=0o700)
    sshd.keygen(folder / "host_key", f"orch-lab-{lab.name}-{host.name}")
    there = Path("/etc/ssh/lab")
    # the port that it listens on is not the one that is dialled
    inside = replace(host, address="0.0.0.0", port=22)  # noqa: S104 - a machine whose network leads nowhere
    config = sshd.config(lab, inside, str(there), there / "user.pub", [f"PATH={sshd.SYSTEM_PATH}"])
    own = {
        "init": _FIRST.read_bytes(),
        "etc/hostname": f"{host.name}\n".encode(),
        "etc/hosts": f"127.0.0.1 localhost {host.name}\n".encode(),
        "etc/ssh/lab/sshd_config": config.encode(),
        "etc/ssh/lab/host_key": (folder / "host_key").read_bytes(),
        "etc/ssh/lab/user.pub": (lab.path / "user.pub").read_bytes(),
        "root/.keep": b"",
    }
    shutil.copyfile(base, folder / "initramfs")
    (folder / "initramfs").chmod(0o600)
    with (folder / "initramfs").open("ab") as archive:
        archive.write(initramfs.pack(own))


def _start(lab: Lab, host: LabHost) -> LabHost:
    folder = lab.path / host.name
    argv = guest.command(Shape.parse(lab.shape), guest.kernel(), folder / "initramfs", kvm=lab.kvm)
    forward = f"user,id=net0,restrict=on,hostfwd=tcp:{host.address}:{host.port}-:22"
    argv += ["-netdev", forward, "-device", "virtio-net-pci,netdev=net0,romfile="]
    # in its folder, for the path of a socket has room for few characters
    argv = ["env", "-C", str(folder), *argv, "-gdb", f"unix:{debugger.SOCKET},server=on,wait=off"]
    (folder / "sshd.log").unlink(missing_ok=True)
    environment = {"PATH": os.environ.get("PATH", os.defpath), MARK: str(folder)}
    emulator = processes.identify(processes.spawn(argv, environment, folder / "sshd.log"))
    return replace(host, outer=emulator, sshd=emulator, faults={})


def _await(lab: Lab, host: LabHost) -> None:
    """Until its sshd gives its greeting. Raises SetupError with the last words on its console where it does not."""
    console = lab.path / host.name / "sshd.log"
    deadline = time.monotonic() + _START_S + _PER_CPU_S * Shape.parse(lab.shape).cpus
    while host.alive and time.monotonic() < deadline:
        if _READY in console.read_text(errors="replace") and _greets(host):
            return
        time.sleep(0.1)
    raise sshd.does_not_start(lab, host)


def _greets(host: LabHost) -> bool:
    try:
        with socket.create_connection((host.address, host.port), timeout=_GREETING_S) as probe:
            return probe.recv(4) == b"SSH-"
    except OSError:
        return False


class Guests:
    """A `life.Kind`."""

    def start(self, lab: Lab, host: LabHost) -> LabHost:
        started = _start(lab, host)
        labs.save(lab.having(started))
        _await(lab, started)
        return started

    def end(self, _lab: Lab, host: LabHost) -> None:
        if host.sshd is not None:
            processes.end(host.sshd)

    def at(self, lab: Lab, host: LabHost | None, command: Sequence[str]) -> list[str]:
        if host is None:
            return list(command)
        if not host.alive:
            raise InputError(
                f"lab {lab.name}", f"{host.name} is dead", f"orch lab fault {lab.name} revive {host.name}"
            )
        options = [
            f"UserKnownHostsFile={lab.path}/known_hosts",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            "LogLevel=ERROR",
        ]
        where = ["-p", str(host.port), "-i", str(lab.path / "user"), f"{lab.user}@{host.address}"]
        return [
            "ssh",
            "-F",
            "none",
            *(word for o in options for word in ("-o", o)),
            *where,
            shlex.join(command),
        ]

    def leave(self, _lab: Lab) -> None:
        """There is nothing around them."""
