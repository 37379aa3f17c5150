"""A lab of N real sshds on 127.0.1.1 … N, high ports: a fleet to try things on before owning one.

As root each host's sshd is the first process of a PID namespace of its own: everything that was ever
started on that host lives in it, and ends with it, as on a machine that dies. The same without root
where the kernel lets users make namespaces; else the sshds are plain processes, and what was started
through them is found by the mark that they leave in its environment.
"""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.errors import InputError
from orchestrator.lab import processes
from orchestrator.lab.labs import MARK, Lab, LabHost, load, names, save, write_reachable
from orchestrator.lab.life import down, kill, raised, revive
from orchestrator.lab.processes import Process
from orchestrator.lab.sshd import config, does_not_start, keygen, program

__all__ = ["HOSTS_MAX", "MARK", "Lab", "LabHost", "Loopback", "down", "kill", "load", "names", "revive", "up"]

HOSTS_MAX = 254
_START_S = 20.0


def up(name: str, count: int) -> Lab:
    """Make a lab of ``count`` hosts. Raises InputError for a name in use, SetupError without sshd."""
    if not 1 <= count <= HOSTS_MAX:
        raise InputError("lab", f"{count} hosts", f"from 1 to {HOSTS_MAX}")
    sshd, prefix = program(), _isolation()
    return raised(
        name,
        lambda path: _build(Lab(name, path, getpass.getuser(), bool(prefix), []), count, [*prefix, sshd]),
    )


def _build(lab: Lab, count: int, command: list[str]) -> Lab:
    keygen(lab.path / "user", f"orch-lab-{lab.name}")
    save(lab)
    ports = _free_ports([f"127.0.1.{i}" for i in range(1, count + 1)])
    for number, (address, port) in enumerate(ports.items(), start=1):
        host = LabHost(f"h{number}", address, port)
        _write_host(lab, host)
        lab = lab.having(_start(lab, host, command))
        save(lab)
    write_reachable(lab)
    lab = replace(lab, hosts=[_await(lab, host) for host in lab.hosts])
    save(lab)
    return lab


class Loopback:
    """A `life.Kind`."""

    def at(self, lab: Lab, host: LabHost | None, command: Sequence[str]) -> list[str]:
        if host is None or not lab.isolated:
            return list(command)
        if not host.alive or host.sshd is None:
            raise InputError(f"lab {lab.name}", f"{host.name} is dead")
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={host.sshd.pid}", *user, "--mount", "--pid", *command]

    def start(self, lab: Lab, host: LabHost) -> LabHost:
        started = _start(lab, host, [*(_isolation() if lab.isolated else []), program()])
        save(lab.having(started))
        return _await(lab, started)

    def end(self, lab: Lab, host: LabHost) -> None:
        sessions = [] if lab.isolated or host.sshd is None else processes.descendants(host.sshd)
        for process in (host.sshd, host.outer, *sessions):
            if process is not None:
                processes.end(process)
        if not lab.isolated:
            processes.end_marked(f"{MARK}={lab.path / host.name}")

    def leave(self, lab: Lab) -> None:
        """There is nothing around them."""


def _isolation() -> list[str]:
    """The command that puts a host into namespaces of its own, [] where this machine has no way to."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command += ["--user", "--map-current-user"]
    try:
        probe = subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return command if probe.returncode == 0 else []


def _free_ports(addresses: list[str]) -> dict[str, int]:
    ports = {}
    for address in addresses:
        with socket.socket() as probe:
            probe.bind((address, 0))
            ports[address] = int(probe.getsockname()[1])
    return ports


def _write_host(lab: Lab, host: LabHost) -> None:
    folder = lab.path / host.name
    (folder / "spool").mkdir(parents=True, mode=0o700)
    keygen(folder / "host_key", f"orch-lab-{lab.name}-{host.name}")
    path = os.environ.get("PATH", os.defpath)
    text = config(lab, host, str(folder), lab.path / "user.pub", [f'"{MARK}={folder}"', f'"PATH={path}"'])
    (folder / "sshd_config").write_text(text)


def _start(lab: Lab, host: LabHost, command: list[str]) -> LabHost:
    folder = lab.path / host.name
    argv = [*command, "-D", "-e", "-f", str(folder / "sshd_config")]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", MARK: str(folder)}
    pid = processes.spawn(argv, environment, folder / "sshd.log")
    return replace(host, outer=processes.identify(pid), sshd=None)


def _await(lab: Lab, host: LabHost) -> LabHost:
    """Until its sshd answers. Raises SetupError with what it said where it does not."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and host.outer is not None and processes.alive(host.outer):
        sshd = _server(lab, host.outer)
        if sshd is not None and _answers(host):
            return replace(host, sshd=sshd)
        time.sleep(0.02)
    raise does_not_start(lab, host)


def _server(lab: Lab, outer: Process) -> Process | None:
    """sshd itself: the only child of what keeps the namespace, or what was started where there is none."""
    if not lab.isolated:
        return outer
    children = processes.children(outer.pid)
    return processes.identify(children[0]) if children else None


def _answers(host: LabHost) -> bool:
    try:
        with socket.create_connection((host.address, host.port), timeout=2.0) as probe:
            return probe.recv(4) == b"SSH-"
    except OSError:
        return False
