"""A lab of N real sshds on 127.0.1.1 … N, high ports: a fleet to try things on before owning one.

As root each host's sshd is the first process of a PID namespace of its own: everything that was ever
started on that host lives in it, and ends with it, as on a machine that dies. The same without root
where the kernel lets users make namespaces; else the sshds are plain processes, and what was started
through them is found by the mark that they leave in its environment.

ORCH_STATE/labs/NAME/ (0700):
  lab.json              the hosts and their processes; rewritten after every start
  inventory.yml         what `-i lab:NAME` reads
  user, user.pub        the key that logs in
  known_hosts           the hosts' keys
  h1/ …                 host key, sshd_config, sshd.log, spool/
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator.errors import InputError, SetupError
from orchestrator.lab import processes
from orchestrator.lab.processes import Process
from orchestrator.transport.known_hosts import state_dir

HOSTS_MAX = 254
_NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,39}$")
#: set by sshd in every session, so that what a lab started can be told from everything else
MARK = "ORCH_LAB_DIR"
#: the programs are those of whoever made the lab; this keeps bash from reading its .bashrc at every command
_SHELL = "SHLVL=1"
_START_S = 20.0


@dataclass(frozen=True)
class LabHost:
    """``outer`` is what was started; ``sshd`` the server itself, as seen from outside its namespace."""

    name: str
    address: str
    port: int
    outer: Process | None = None
    sshd: Process | None = None

    @property
    def alive(self) -> bool:
        return self.sshd is not None and processes.alive(self.sshd)


@dataclass(frozen=True)
class Lab:
    name: str
    path: Path
    user: str
    #: each host in namespaces of its own
    isolated: bool
    hosts: list[LabHost]

    @property
    def inventory(self) -> Path:
        return self.path / "inventory.yml"

    def host(self, name: str) -> LabHost:
        for host in self.hosts:
            if host.name == name:
                return host
        raise InputError(
            f"lab {self.name}", f"no host {name}", "hosts: " + ", ".join(h.name for h in self.hosts)
        )


def labs_dir() -> Path:
    return state_dir() / "labs"


def up(name: str, count: int) -> Lab:
    """Make a lab of ``count`` hosts. Raises InputError for a name in use, SetupError without sshd."""
    if not 1 <= count <= HOSTS_MAX:
        raise InputError("lab", f"{count} hosts", f"from 1 to {HOSTS_MAX}")
    sshd, prefix = _sshd(), _isolation()
    with _locked(_checked(name)):
        path = _claim(name)
        try:
            return _build(Lab(name, path, getpass.getuser(), bool(prefix), []), count, [*prefix, sshd])
        except BaseException:
            _down(name)
            raise


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """One `orch lab` at a time changes a lab. The name must have been checked."""
    labs_dir().mkdir(parents=True, exist_ok=True)
    with (labs_dir() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise InputError("lab", f"{name!r} is no name for a lab", "small letters, digits, - _ .")
    return name


def _claim(name: str) -> Path:
    """The lab's own folder; what a crash has left of an earlier one makes way."""
    path = labs_dir() / name
    if path.exists():
        with contextlib.suppress(_Unreadable):
            if any(host.alive for host in load(name).hosts):
                raise InputError("lab", f"{name} is up already", f"orch lab down {name}")
        _down(name)
    path.mkdir(mode=0o700)
    return path


def _build(lab: Lab, count: int, command: list[str]) -> Lab:
    _keygen(lab.path / "user", f"orch-lab-{lab.name}")
    _save(lab)
    ports = _free_ports([f"127.0.1.{i}" for i in range(1, count + 1)])
    for number, (address, port) in enumerate(ports.items(), start=1):
        host = LabHost(f"h{number}", address, port)
        _write_host(lab, host)
        lab = replace(lab, hosts=[*lab.hosts, _start(lab, host, command)])
        _save(lab)
    known = [f"[{h.address}]:{h.port} {_public(lab.path / h.name / 'host_key')}\n" for h in lab.hosts]
    (lab.path / "known_hosts").write_text("".join(known))
    lab.inventory.write_text(_inventory(lab))
    ready = [_await(lab, host) for host in lab.hosts]
    lab = replace(lab, hosts=ready)
    _save(lab)
    return lab


def down(name: str) -> list[str]:
    """End everything of the lab and remove its state. Returns a line for each thing worth knowing.
    Raises InputError where there is no such lab."""
    with _locked(_checked(name)):
        return _down(name)


def _down(name: str) -> list[str]:
    path = labs_dir() / name
    if not path.is_dir():
        raise _no_lab(name)
    said = []
    try:
        lab = load(name)
        for host in lab.hosts:
            _end(lab, host)
    except _Unreadable as e:
        said.append(f"{e.what}; ended what carries its mark")
    left = processes.end_marked(f"{MARK}={path}")
    if left:
        said.append(f"ended {left} process(es) that had left their host")
    shutil.rmtree(path)
    (labs_dir() / f".{name}.lock").unlink(missing_ok=True)
    return said


def _end(lab: Lab, host: LabHost) -> None:
    """The host and everything on it."""
    sessions = [] if lab.isolated or host.sshd is None else processes.descendants(host.sshd)
    for process in (host.sshd, host.outer, *sessions):
        if process is not None:
            processes.end(process)
    if not lab.isolated:
        processes.end_marked(f"{MARK}={lab.path / host.name}")


def kill(name: str, host: str) -> Lab:
    """The host dies, with everything on it, without a goodbye."""
    with _locked(_checked(name)):
        lab = load(name)
        _end(lab, lab.host(host))
        return lab


def revive(name: str, host: str) -> Lab:
    """Start a dead host again: same address, same keys, same disk."""
    with _locked(_checked(name)):
        lab = load(name)
        dead = lab.host(host)
        if dead.alive:
            raise InputError(f"lab {name}", f"{host} is alive")
        started = _start(lab, dead, [*(_isolation() if lab.isolated else []), _sshd()])
        lab = _with(lab, started)
        _save(lab)
        lab = _with(lab, _await(lab, started))
        _save(lab)
        return lab


def _with(lab: Lab, host: LabHost) -> Lab:
    return replace(lab, hosts=[host if h.name == host.name else h for h in lab.hosts])


class _Unreadable(InputError):
    """The state of a lab that a crash has left."""


def _no_lab(name: str) -> InputError:
    return InputError("lab", f"no lab {name}", f"there are: {', '.join(names()) or 'none'}")


def names() -> list[str]:
    if not labs_dir().is_dir():
        return []
    return sorted(p.name for p in labs_dir().iterdir() if p.is_dir() and _NAME.match(p.name))


def load(name: str) -> Lab:
    """Raises InputError where there is no such lab, or where its state cannot be read."""
    path = labs_dir() / name
    try:
        data = json.loads((path / "lab.json").read_text())
        hosts = [
            LabHost(h["name"], h["address"], h["port"], _process(h["outer"]), _process(h["sshd"]))
            for h in data["hosts"]
        ]
        return Lab(name, path, data["user"], data["isolated"], hosts)
    except (OSError, ValueError, KeyError, TypeError) as e:
        if not path.is_dir():
            raise _no_lab(name) from e
        raise _Unreadable("lab", f"{path}/lab.json cannot be read: {e}", f"orch lab down {name}") from e


def _process(data: dict[str, int] | None) -> Process | None:
    return None if data is None else Process(data["pid"], data["started"])


def _save(lab: Lab) -> None:
    data = {"user": lab.user, "isolated": lab.isolated, "hosts": [asdict(host) for host in lab.hosts]}
    temporary = lab.path / ".lab.json"
    temporary.write_text(json.dumps(data, indent=1) + "\n")
    temporary.replace(lab.path / "lab.json")


def _sshd() -> str:
    found = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None or shutil.which("ssh-keygen") is None:
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise SetupError("lab", "sshd is not installed", f"{sudo}apt-get install -y openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it for its unprivileged part
    return found


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


def _keygen(path: Path, comment: str) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def _public(key: Path) -> str:
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def _write_host(lab: Lab, host: LabHost) -> None:
    folder = lab.path / host.name
    (folder / "spool").mkdir(parents=True, mode=0o700)
    _keygen(folder / "host_key", f"orch-lab-{lab.name}-{host.name}")
    (folder / "sshd_config").write_text(
        f"""\
Port {host.port}
ListenAddress {host.address}
HostKey "{folder}/host_key"
AuthorizedKeysFile "{lab.path}/user.pub"
AllowUsers {lab.user}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
MaxStartups 200
MaxSessions 64
Subsystem sftp internal-sftp
SetEnv ORCH_LAB={lab.name} ORCH_LAB_HOST={host.name} "{MARK}={folder}" {_SHELL} "PATH={os.environ.get("PATH", os.defpath)}"
"""
    )


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
    log = (lab.path / host.name / "sshd.log").read_text(errors="replace").strip().splitlines()
    raise SetupError(f"lab {lab.name}", f"sshd of {host.name} does not start: {' / '.join(log[-3:])}")


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


def _inventory(lab: Lab) -> str:
    lines = [f"# made by `orch lab up {lab.name}`; gone with `orch lab down {lab.name}`", "hosts:"]
    for host in lab.hosts:
        lines += _inventory_host(lab, host)
    return "\n".join(lines) + "\n"


def _inventory_host(lab: Lab, host: LabHost) -> Iterator[str]:
    quoted = json.dumps  # a JSON string is a YAML one
    yield f"  {host.name}:"
    yield f"    lab: {quoted(lab.name)}"
    yield "    emulated: true"
    # a shim in front of it would cost a tenth of a second at every step
    yield f"    python: {quoted(str(Path(sys.executable).resolve()))}"
    yield f"    spool: {quoted(str(lab.path / host.name / 'spool'))}"
    yield "    ssh:"
    yield f"      host: {host.address}"
    yield f"      port: {host.port}"
    yield f"      user: {quoted(lab.user)}"
    yield f"      key: {quoted(str(lab.path / 'user'))}"
    yield "      agent: false"
    yield f"      known_hosts: {quoted(str(lab.path / 'known_hosts'))}"


def shell_hint(lab: Lab) -> str:
    """How to log in by hand."""
    host = lab.hosts[0]
    return shlex.join(
        [
            *("ssh", "-p", str(host.port), "-i", str(lab.path / "user"), "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={lab.path}/known_hosts", f"{lab.user}@{host.address}"),
        ]
    )
