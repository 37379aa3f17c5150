"""Reaching and feeding many hosts, against what others need for the same: a lab of loopback sshds, rounds of all in turn.

    .venv/bin/python bench/fleet_speed.py connect [HOSTS] [ROUNDS] [PEERS]
    .venv/bin/python bench/fleet_speed.py ship [HOSTS] [MEGABYTES] [ROUNDS] [PEERS]

``connect``: connection, login, `true`, and its status, for all hosts at once. ``ship``: one file of binary programs onto every
host. PEERS is the folder of a virtual environment with ansible-core and parallel-ssh; ssh, scp and rsync are taken from PATH. What is not
there is left out and named. Seconds: median, least and most of the rounds; ratio: of the medians, to the first line.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko

from orchestrator.engine import packed
from orchestrator.engine.ship import ship
from orchestrator.engine.survey import on_each, ping
from orchestrator.errors import LinkError
from orchestrator.lab import loopback
from orchestrator.lab.loopback import Lab
from orchestrator.model.address import Address
from orchestrator.model.inventory import read_inventory
from orchestrator.transport import open_link

#: name → what is timed; it may say the seconds itself, where they are those of a part of it
Arms = dict[str, Callable[[], float | None]]

PSSH = """
import sys, time
from pssh.clients.native import ParallelSSHClient
from pssh.config import HostConfig
user, key, *targets = sys.argv[1:]
pairs = [t.split(":") for t in targets]
hosts = [h for h, _ in pairs]
configs = [HostConfig(port=int(p), user=user, private_key=key) for _, p in pairs]
began = time.perf_counter()
client = ParallelSSHClient(hosts, host_config=configs, pool_size=len(hosts), identity_auth=False)
output = client.run_command("true")
client.join(output)
assert all(o.exit_code == 0 for o in output)
print(time.perf_counter() - began)
"""


def addresses(lab: Lab) -> list[Address]:
    read, errors = read_inventory(lab.inventory)
    assert read is not None, errors
    return list(read.hosts.values())


def through_orch(hosts: Sequence[Address]) -> None:
    for answer in ping(hosts, forks=len(hosts)).values():
        assert not isinstance(answer, LinkError), answer


def bare(hosts: Sequence[Address], known: Path) -> None:
    def one(address: Address) -> None:
        with contextlib.closing(paramiko.SSHClient()) as client:
            client.load_host_keys(str(known))
            client.connect(
                address.host,
                address.port or 22,
                address.user,
                key_filename=str(address.key),
                allow_agent=False,
                look_for_keys=False,
            )
            _, out, _ = client.exec_command("true")
            assert out.channel.recv_exit_status() == 0

    failed: list[BaseException] = []

    def caught(address: Address) -> None:
        try:
            one(address)
        except Exception as e:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(e)

    threads = [threading.Thread(target=caught, args=(address,)) for address in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def options(lab: Lab, address: Address) -> list[str]:
    return [
        *("-o", f"Port={address.port}", "-i", str(lab.path / "user"), "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={lab.path}/known_hosts", "-o", "BatchMode=yes", "-F", "none"),
    ]


def all_at_once(commands: Sequence[Sequence[str]], environment: dict[str, str] | None = None) -> None:
    def one(argv: Sequence[str]) -> None:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)

    with ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(one, commands))


def ansible(
    lab: Lab, hosts: Sequence[Address], peers: Path, module: str, argument: str
) -> Callable[[], None]:
    """One ad-hoc command over all hosts, pipelining on, host keys as strict as ours."""
    lines = [
        f"{a.name} ansible_host={a.host} ansible_port={a.port} ansible_user={a.user} "
        f"ansible_ssh_private_key_file={lab.path}/user ansible_python_interpreter=/usr/bin/python3"
        for a in hosts
    ]
    inventory = lab.path / "ansible.ini"
    inventory.write_text("\n".join(lines) + "\n")
    environment = {
        **os.environ,
        "ANSIBLE_SSH_PIPELINING": "1",
        "ANSIBLE_SSH_ARGS": f"-o UserKnownHostsFile={lab.path}/known_hosts -o ControlMaster=no",
        "ANSIBLE_HOME": str(lab.path / "ansible"),
    }
    command = [
        str(peers / "bin" / "ansible"),
        "all",
        "-i",
        str(inventory),
        "-f",
        str(len(hosts)),
        "-m",
        module,
    ]
    return lambda: all_at_once([[*command, "-a", argument]], environment)


def connecting(lab: Lab, peers: Path | None) -> Arms:
    hosts = addresses(lab)
    ssh = [["ssh", *options(lab, a), f"{a.user}@{a.host}", "true"] for a in hosts]
    arms: Arms = {
        "bare paramiko, a thread per host": lambda: bare(hosts, lab.path / "known_hosts"),
        "orch, in process": lambda: through_orch(hosts),
        "orch hosts ping, the command": lambda: all_at_once([_orch_ping(lab, len(hosts))]),
        "ssh, a process per host": lambda: all_at_once(ssh),
    }
    if peers is not None:
        targets = [f"{a.host}:{a.port}" for a in hosts]
        pssh = [str(peers / "bin" / "python"), "-c", PSSH, lab.user, str(lab.path / "user"), *targets]
        arms["parallel-ssh, in process"] = lambda: float(
            subprocess.run(pssh, check=True, capture_output=True).stdout
        )
        arms["parallel-ssh, the command"] = lambda: all_at_once([pssh])
        arms["ansible raw, the command"] = ansible(lab, hosts, peers, "raw", "true")
    return arms


def _orch_ping(lab: Lab, forks: int) -> list[str]:
    orch = str(Path(sys.executable).with_name("orch"))
    return [orch, "hosts", "ping", "-i", str(lab.inventory), "--forks", str(forks)]


def shipping(lab: Lab, peers: Path | None, source: Path) -> Arms:
    hosts = addresses(lab)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    size = source.stat().st_size

    def target(address: Address) -> str:
        return f"{lab.path}/{address.name}/spool/copied"

    def removed() -> None:
        for address in hosts:
            shutil.rmtree(Path(address.spool) / "blobs", ignore_errors=True)
            Path(target(address)).unlink(missing_ok=True)

    def shipped(expected: Callable[[int], bool]) -> None:
        def one(address: Address) -> int:
            with contextlib.closing(open_link(address)) as link:
                return ship(link, {digest: source}, address.spool).bytes_sent

        for sent in on_each(hosts, one, len(hosts)).values():
            assert isinstance(sent, int), sent
            assert expected(sent)

    def first() -> None:
        for kept in Path(os.environ["ORCH_CACHE"]).glob("packed/*"):
            kept.unlink()
        packed.forget()
        shipped(lambda sent: 0 < sent <= size)

    def then(commands: Sequence[Sequence[str]]) -> Callable[[], None]:
        return lambda: all_at_once(commands)

    remote = {a.name: f"{a.user}@{a.host}:{target(a)}" for a in hosts}
    scp = [["scp", "-q", *options(lab, a), str(source), remote[a.name]] for a in hosts]
    rsync = [
        ["rsync", "-e", " ".join(["ssh", *options(lab, a)]), "-z", str(source), remote[a.name]] for a in hosts
    ]
    arms: Arms = {"scp": then(scp)}
    if shutil.which("rsync"):
        arms["rsync -z"] = then(rsync)
    arms["orch, the first time"] = first
    arms["orch, already there"] = lambda: shipped(lambda sent: sent == 0)
    if peers is not None:
        where = f"src={source} dest={lab.path}/{{{{ inventory_hostname }}}}/spool/copied"
        arms["ansible copy"] = ansible(lab, hosts, peers, "copy", where)
    order = dict(arms)
    return {
        name: (arm if name == "orch, already there" else _after(removed, arm)) for name, arm in order.items()
    }


def _after(before: Callable[[], None], arm: Callable[[], float | None]) -> Callable[[], float | None]:
    arm.__dict__["before"] = before
    return arm


def programs(megabytes: int, folder: Path) -> Path:
    """A file of so many MB, made of programs as they lie on this machine."""
    made = folder / "blob"
    left = megabytes * 1_000_000
    with made.open("wb") as out:
        for program in sorted(Path("/usr/bin").iterdir()):
            if left > 0 and program.is_file() and not program.is_symlink():
                piece = program.read_bytes()[:left]
                if piece.startswith(b"\x7fELF"):
                    out.write(piece)
                    left -= len(piece)
    assert left == 0, "not enough programs in /usr/bin"
    return made


def measured(arms: Arms, rounds: int) -> None:
    took: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        for name in list(arms)[:: -1 if number % 2 and "orch, already there" not in arms else 1]:
            before = arms[name].__dict__.get("before")
            if before is not None:
                before()
            began = time.perf_counter()
            said = arms[name]()
            took[name].append(said if said is not None else time.perf_counter() - began)
    base = statistics.median(next(iter(took.values())))
    for name, seconds in took.items():
        middle = statistics.median(seconds)
        print(
            f"{name:34} {middle:6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})  ratio {middle / base:.2f}"
        )


def main() -> None:
    what, *rest = sys.argv[1:] or ["connect"]
    numbers = [int(word) for word in rest if word.isdigit()]
    peers = next((Path(word) for word in rest if not word.isdigit()), None)
    if what == "connect":
        count, rounds = (*numbers, *(64, 5)[len(numbers) :])
        megabytes = 0
    else:
        count, megabytes, rounds = (*numbers, *(16, 5, 3)[len(numbers) :])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORCH_STATE"], os.environ["ORCH_CACHE"] = f"{folder}/state", f"{folder}/cache"
        lab = loopback.up("bench", count)
        try:
            made = (
                connecting(lab, peers)
                if what == "connect"
                else shipping(lab, peers, programs(megabytes, Path(folder)))
            )
            print(
                f"{what}: {count} hosts" + (f", {megabytes} MB" if megabytes else "") + f", {rounds} rounds"
            )
            measured(made, rounds)
        finally:
            loopback.down("bench")
    if peers is None:
        print("not measured: parallel-ssh, ansible (name a folder with both)")
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
