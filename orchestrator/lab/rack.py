"""A lab of N hosts in network namespaces: a rack.

The rack is one set of namespaces (network, mounts, host name, IPC, processes) with a bridge in it, and nothing of it is seen outside. Each host
lives in a set of its own inside: own root above the machine's files, own disk of a given size, /tmp, /dev/shm, host name, processes, address, and a real
sshd with its own key. Whoever ends the rack's first process ends all. Without root it is the same in user namespaces.

The controller's place is the rack's network namespace: `enter` puts this program there.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import InputError, SetupError
from orchestrator.lab import labs, processes, sshd
from orchestrator.lab.labs import MARK, Lab, LabHost
from orchestrator.lab.life import raised

HOSTS_MAX = 250
DISK_BYTES = 512 * 2**20
CONTROLLER, PREFIX = "10.77.0.1", 16
_HERE = Path(__file__).parent
_START_S = 120.0
#: folders that a host has of its own (host.sh)
_ITS_OWN = ("/root", "/home", "/tmp", "/run", "/var/tmp", "/mnt", "/media")  # noqa: S108 - named, not used
_PARTS = (("net", "net"), ("mount", "mnt"), ("uts", "uts"), ("ipc", "ipc"), ("pid", "pid"))
_NAMESPACES = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
#: asks every ADDRESS:PORT among its arguments for a greeting, until all have given one or its time is over
_PROBE = """
import socket, sys, time
left, until = set(sys.argv[2:]), time.monotonic() + float(sys.argv[1])
while left and time.monotonic() < until:
    for where in sorted(left):
        host, port = where.split(":")
        try:
            with socket.create_connection((host, int(port)), 2.0) as s:
                if s.recv(4) == b"SSH-":
                    left.discard(where)
        except OSError:
            pass
    time.sleep(0.02)
print(*sorted(left))
"""


def up(name: str, count: int, disk_bytes: int = DISK_BYTES) -> Lab:
    """Make a lab of ``count`` hosts. Raises InputError for a name in use, SetupError where this machine lacks
    a program or does not allow it."""
    if not 1 <= count <= HOSTS_MAX:
        raise InputError("lab", f"{count} hosts", f"from 1 to {HOSTS_MAX}")
    sshd.program()
    refused = why_not()
    if refused:
        raise SetupError("lab", refused, f"orch lab up {name} --loopback {count}")
    return raised(
        name,
        lambda path: _build(
            Lab(name, path, _user(), isolated=True, hosts=[], kind="rack", disk_bytes=disk_bytes), count
        ),
    )


def why_not() -> str:
    """What keeps this machine from having a rack, found by trying; empty where nothing does."""
    for program, package in (("ip", "iproute2"), ("unshare", "util-linux"), ("nsenter", "util-linux")):
        if shutil.which(program, path=path()) is None:
            return f"{program} is not installed (package {package})"
    script = "mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs lab /mnt && ip link add br0 type bridge"
    command = [*_unshare(), "sh", "-c", f"{script} && ip link add v1 type veth peer name p1"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_START_S, check=False, env={"PATH": path()}
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        return f"network namespaces cannot be had here: {e}"
    said = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else f"network namespaces cannot be had here: {' / '.join(said[-2:])}"


def path() -> str:
    return os.environ.get("PATH", "") + ":" + sshd.SYSTEM_PATH


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, *_NAMESPACES]


def _build(lab: Lab, count: int) -> Lab:
    sshd.keygen(lab.path / "user", f"orch-lab-{lab.name}")
    hosts = [LabHost(f"h{i}", f"10.77.{(i + 10) // 256}.{(i + 10) % 256}", 22) for i in range(1, count + 1)]
    lab = replace(lab, hosts=hosts)
    labs.save(lab)
    lines = ["127.0.0.1 localhost", f"{CONTROLLER} controller", *(f"{h.address} {h.name}" for h in hosts)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda host: _write_host(lab, host, lines), hosts))
    labs.write_reachable(lab)
    lab, go = _start_rack(lab)
    try:
        labs.save(lab)
        with ThreadPoolExecutor(8) as pool:
            lab = replace(lab, hosts=list(pool.map(lambda host: _start(lab, host), lab.hosts)))
        labs.save(lab)
        _plug_in(lab, lab.hosts)
        _await(lab, lab.hosts)
        os.write(go, b"go\n")
    finally:
        os.close(go)
    return lab


def _start_rack(lab: Lab) -> tuple[Lab, int]:
    """The rack, ready for hosts; it ends with the descriptor that comes back, until "go" was written there."""
    environment = {
        "PATH": path(),
        MARK: str(lab.path),
        "LAB": str(lab.path),
        "HOSTS": " ".join(host.name for host in lab.hosts),
        "DISK": str(lab.disk_bytes),
        "ADDRESS": f"{CONTROLLER}/{PREFIX}",
    }
    theirs, go = os.pipe()
    said, says = os.pipe()
    try:
        pid = processes.spawn(
            [*_unshare(), "sh", str(_HERE / "rack.sh")], environment, lab.path / "rack.log", (theirs, says)
        )
    finally:
        os.close(theirs)
        os.close(says)
    with os.fdopen(said) as answer:
        if answer.readline() != "ready\n":
            os.close(go)
            log = (lab.path / "rack.log").read_text(errors="replace").strip().splitlines()
            raise SetupError(f"lab {lab.name}", f"the rack does not start: {' / '.join(log[-2:])}")
    first = processes.only_child(pid)
    if first is None:
        os.close(go)
        raise SetupError(f"lab {lab.name}", "the rack ended while it started")
    return replace(lab, rack=first, network=Path(f"/proc/{first.pid}/ns/net").stat().st_ino), go


def _kept(host: LabHost) -> dict[str, float]:
    """What is wrong with a host still when it was switched off and on: its disk stays full."""
    return {what: much for what, much in host.faults.items() if what == "disk-full"}


def _write_host(lab: Lab, host: LabHost, hosts: Sequence[str]) -> None:
    folder = lab.path / host.name
    folder.mkdir(mode=0o700)
    sshd.keygen(folder / "host_key", f"orch-lab-{lab.name}-{host.name}")
    shutil.copy(lab.path / "user.pub", folder / "user.pub")
    (folder / "hosts").write_text("\n".join(hosts) + "\n")
    keys = Path("/etc/ssh/lab")
    environment = [f'"{MARK}={folder}"', f"PATH={sshd.SYSTEM_PATH}"]
    (folder / "sshd_config").write_text(sshd.config(lab, host, str(keys), keys / "user.pub", environment))


def _start(lab: Lab, host: LabHost) -> LabHost:
    """Its namespaces, without a network card yet."""
    folder = lab.path / host.name
    environment = {
        "PATH": path(),
        MARK: str(folder),
        "DISK": str(lab.path / "mnt" / host.name),
        "KEYS": str(folder),
        "NAME": host.name,
        "ADDRESS": f"{host.address}/{PREFIX}",
        "BRING": "\n".join(_brought()),
        "SSHD": sshd.program(),
        "OWNER": _owner(lab),
    }
    inner = ["unshare", *_NAMESPACES, "sh", str(_HERE / "host.sh")]
    (folder / "sshd.log").unlink(missing_ok=True)
    pid = processes.spawn([*inside(lab), *inner], environment, folder / "sshd.log")
    deadline = time.monotonic() + _START_S
    outer = processes.identify(pid)
    while outer is not None and processes.alive(outer) and time.monotonic() < deadline:
        # nsenter, then unshare, then the host's first process
        between = processes.only_child(pid)
        first = None if between is None else processes.only_child(between.pid)
        if first is not None:
            return replace(host, outer=outer, sshd=first, relay=None, faults=_kept(host))
        time.sleep(0.002)
    raise sshd.does_not_start(lab, host)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()


def _owner(lab: Lab) -> str:
    if os.geteuid() == 0:
        return ""
    return f"{lab.user}:{os.getuid()}:{os.getgid()}:/home/{lab.user}"


def _brought() -> list[str]:
    """Where our interpreter and this program lie, as far as a host has its own folder there."""
    wanted = {
        str(Path(sys.executable).resolve().parents[1]),
        sys.prefix,
        sys.base_prefix,
        str(_HERE.parents[1]),
    }
    device = Path("/").stat().st_dev
    masked = tuple(f"{folder}/" for folder in _ITS_OWN)
    far = [p for p in wanted if p.startswith(masked) or Path(p).stat().st_dev != device]
    return sorted(far)


def _plug_in(lab: Lab, hosts: Sequence[LabHost]) -> None:
    """A cable from each host to the bridge. ``hosts`` have namespaces, and no card in them."""
    lines = []
    for host in hosts:
        assert host.sshd is not None
        lines.append(f"link add {port(host)} type veth peer name eth0 netns {host.sshd.pid}")
        lines.append(f"link set {port(host)} master br0 up")
    run_ip(lab, lines)


def port(host: LabHost) -> str:
    """The rack's end of its cable."""
    return f"v{host.name[1:]}"


def run_ip(lab: Lab, lines: Sequence[str], *, force: bool = False) -> None:
    """Commands for `ip`, in the controller's namespace. ``force``: go on after one that fails."""
    command = [*at_controller(lab), "ip", *(["-force"] if force else []), "-batch", "-"]
    text = "\n".join(lines) + "\n"
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=_START_S,
        check=False,
        env={"PATH": path()},
    )
    if done.returncode != 0 and not force:
        raise SetupError(f"lab {lab.name}", f"ip: {' / '.join(done.stderr.strip().splitlines()[-2:])}")


def _await(lab: Lab, hosts: Sequence[LabHost]) -> None:
    """Until each sshd gives its greeting. Raises SetupError with what one said that does not."""
    for host in hosts:
        # who dials a card that is not up yet waits a second until he asks again where it is
        log, deadline = lab.path / host.name / "sshd.log", time.monotonic() + _START_S
        while (
            host.alive
            and time.monotonic() < deadline
            and "Server listening" not in log.read_text(errors="replace")
        ):
            time.sleep(0.005)
    argv = [sys.executable, "-IS", "-c", _PROBE, str(_START_S), *(f"{h.address}:{h.port}" for h in hosts)]
    with subprocess.Popen([*at_controller(lab), *argv], stdout=subprocess.PIPE, text=True) as asking:
        try:
            while asking.poll() is None and all(host.alive for host in hosts):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    asking.wait(0.05)
        finally:
            asking.kill()
        silent = asking.stdout.read().split() if asking.stdout is not None else []
    found = [h for h in hosts if f"{h.address}:{h.port}" in silent or not h.alive]
    if found or asking.returncode != 0:
        raise sshd.does_not_start(lab, (found or hosts)[0])


def _namespace_of(lab: Lab) -> int:
    """The process to enter it by. Raises InputError where it is not there any more."""
    if lab.rack is None or not processes.alive(lab.rack):
        raise InputError(f"lab {lab.name}", "is down", f"orch lab down {lab.name}, then up again")
    return lab.rack.pid


def _as_user() -> list[str]:
    return [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]


def inside(lab: Lab) -> list[str]:
    """The command that puts another one into all namespaces of the rack."""
    pid = _namespace_of(lab)
    return ["nsenter", f"--target={pid}", *_as_user(), "--net", "--mount", "--uts", "--ipc", "--pid"]


def at_controller(lab: Lab) -> list[str]:
    """The command that puts another one into the rack's network, with every right in there."""
    return ["nsenter", f"--target={_namespace_of(lab)}", *_as_user(), "--net"]


def as_controller(lab: Lab) -> list[str]:
    """The command that puts another one where the lab's controller is: its network, and else this machine and this user."""
    back = ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
    return [*at_controller(lab), *([] if os.geteuid() == 0 else back)]


def enter(lab: Lab) -> None:
    """Start this program again where the lab's controller is, unless it is there. Raises InputError where the lab is down."""
    there = as_controller(lab)
    if Path("/proc/self/ns/net").stat().st_ino == lab.network:
        return
    argv = [*there, sys.executable, *sys.orig_argv[1:]]
    sys.stdout.flush()
    os.execvpe(argv[0], argv, {**os.environ, "PATH": path()})  # noqa: S606 - the same program, in another network


def on_host(lab: Lab, host: LabHost) -> list[str]:
    """The command that puts another one onto a host, past its network. Raises InputError where the host is dead."""
    if not host.alive or host.sshd is None:
        raise InputError(
            f"lab {lab.name}", f"{host.name} is dead", f"orch lab fault {lab.name} revive {host.name}"
        )
    of = f"/proc/{host.sshd.pid}/ns"
    user = (
        [] if os.geteuid() == 0 else [f"--user=/proc/{_namespace_of(lab)}/ns/user", "--preserve-credentials"]
    )
    return ["nsenter", *user, *(f"--{long}={of}/{short}" for long, short in _PARTS)]


class Rack:
    """A `life.Kind`."""

    def at(self, lab: Lab, host: LabHost | None, command: Sequence[str]) -> list[str]:
        return [*(as_controller(lab) if host is None else on_host(lab, host)), *command]

    def start(self, lab: Lab, host: LabHost) -> LabHost:
        started = _start(lab, host)
        labs.save(lab.having(started))
        # its cable may still be there for a moment, and the end of a bad one for longer
        run_ip(lab, [f"link del {port(host)}", f"link del w{host.name[1:]}"], force=True)
        _plug_in(lab, [started])
        _await(lab, [started])
        return started

    def end(self, _lab: Lab, host: LabHost) -> None:
        for process in (host.sshd, host.outer, host.relay):
            if process is not None:
                processes.end(process)

    def leave(self, lab: Lab) -> None:
        if lab.rack is not None:
            around = processes.parent(lab.rack)
            processes.end(lab.rack)
            if around is not None:
                processes.gone(around)
