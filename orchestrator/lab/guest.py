"""A machine that we do not have, emulated by QEMU: so many CPUs on so many NUMA nodes.

It is right for topology, placement, memory policy and meaning. Its speed is never a result.

The guest has Debian's cloud kernel and no disk: all that it runs lies in its initramfs, with a first process
(``native/guest/guest_init.c``) that does a list of orders and says on the console how each ended.

    shape = Shape.parse("16x4")
    with_kvm = kvm_works(init)                       # a /dev/kvm may open and then hang: it is tried, with a limit
    done = run(shape, init, files, [["/bin/test_numa"]], folder, limit_s=300, kvm=with_kvm)
    done[0].status, done[0].output
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bundle.cache import cache_root
from orchestrator.errors import InputError, SetupError
from orchestrator.lab import initramfs

PACKAGES = ("qemu-system-x86", "linux-image-cloud-amd64")
#: names another kernel than the one of `make guests`, or a cloud kernel in /boot; it needs a serial port, a ram disk, ACPI NUMA and devtmpfs built in
KERNEL_VARIABLE = "ORCH_GUEST_KERNEL"
CPUS_MAX, NODES_MAX = 255, 64
_QEMU = "qemu-system-x86_64"
_NEAR, _PER_HOP, _FARTHEST = 10, 11, 254
_PROBE_S = 15.0
_QUIET = "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1 mitigations=off"
#: the last words of a guest that has come to its end
OVER = "::guest over"
_MARK = re.compile(r"^::guest (ready|over|begin (\d+)|end (\d+) (\d+))$", re.MULTILINE)


@dataclass(frozen=True)
class Shape:
    """``cpus`` in all, the same number on each of ``nodes``, which lie in a ring: the more hops, the farther. ``threads`` of a core
    are CPUs with numbers next to each other."""

    cpus: int
    nodes: int
    memory_mib: int = 2048
    threads: int = 1

    def __post_init__(self) -> None:
        sizes = 1 <= self.nodes <= NODES_MAX and 1 <= self.cpus <= CPUS_MAX and self.threads in (1, 2)
        if not sizes or self.cpus % (self.nodes * self.threads) != 0:
            raise InputError(
                "guest",
                str(self),
                f"up to {CPUS_MAX} CPUs, the same number on each of up to {NODES_MAX} nodes; cores of one thread or two",
            )

    def __str__(self) -> str:
        cores = {1: "", 2: ", two to a core"}.get(self.threads, f", {self.threads} to a core")
        return f"{self.cpus} CPUs on {self.nodes} nodes{cores}"

    @property
    def text(self) -> str:
        """As `parse` reads it."""
        return f"{self.cpus}x{self.nodes}" + (f"x{self.threads}" if self.threads != 1 else "")

    @classmethod
    def parse(cls, text: str) -> Shape:
        """``16x4``: CPUs x nodes; ``16x4x2``: two CPUs to a core. Raises InputError."""
        found = re.fullmatch(r"(\d{1,4})x(\d{1,4})(?:x(\d))?", text)
        if found is None:
            hint = "CPUs x nodes, such as 16x4, or with two CPUs to a core 16x4x2"
            raise InputError("guest", f"{text!r} is no shape of a machine", hint)
        return cls(int(found[1]), int(found[2]), threads=int(found[3] or 1))

    def cpus_of(self, node: int) -> range:
        each = self.cpus // self.nodes
        return range(node * each, (node + 1) * each)

    def distance(self, a: int, b: int) -> int:
        """As the firmware gives it: 10 for a node to itself."""
        hops = min((a - b) % self.nodes, (b - a) % self.nodes)
        return min(_NEAR + _PER_HOP * hops, _FARTHEST)


@dataclass(frozen=True)
class Done:
    """How one order ended. ``status``: as a shell tells it; None where the guest died before the end."""

    status: int | None
    output: str


def lacking() -> list[str]:
    """Packages that this machine needs before it can have a guest."""
    return [
        package
        for package, found in zip(PACKAGES, (shutil.which(_QEMU), _kernels()), strict=True)
        if not found
    ]


def _kernels() -> list[Path]:
    """Those that may be booted, the best one last."""
    named = os.environ.get(KERNEL_VARIABLE)
    if named:
        return [Path(named)]
    found = [*Path("/boot").glob("vmlinuz-*-cloud-*"), *(cache_root() / "guest" / "boot").glob("vmlinuz-*")]
    return [path for path in found if os.access(path, os.R_OK)]


def kernel() -> Path:
    """The kernel of a guest. Raises SetupError, with the one command, where this machine lacks something."""
    packages = lacking()
    if packages:
        sudo = "" if os.geteuid() == 0 else "sudo "
        command = f"{sudo}apt-get install -y --no-install-recommends {' '.join(packages)}"
        raise SetupError("guest", f"this machine lacks {' and '.join(packages)}", command)
    return _kernels()[-1]


def command(shape: Shape, boot: Path, archive: Path, *, kvm: bool) -> list[str]:
    """The emulator's arguments. The console is its standard output; nothing of the network is there."""
    argv = [
        _QEMU,
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-machine",
        "q35",
        "-display",
        "none",
        "-serial",
        "stdio",
    ]
    # of an AMD that is emulated the kernel does not hear which threads share a core
    model = "max" if kvm or shape.threads == 1 else "max,vendor=GenuineIntel"
    argv += ["-accel", "kvm" if kvm else "tcg,thread=multi", "-cpu", model]
    cores = shape.cpus // shape.nodes // shape.threads
    argv += ["-smp", f"{shape.cpus},sockets={shape.nodes},cores={cores},threads={shape.threads}"]
    each = shape.memory_mib // shape.nodes
    argv += ["-m", f"{each * shape.nodes}M", "-kernel", str(boot), "-initrd", str(archive), "-append", _QUIET]
    for node in range(shape.nodes):
        cpus = shape.cpus_of(node)
        argv += ["-object", f"memory-backend-ram,id=memory{node},size={each}M"]
        argv += ["-numa", f"node,nodeid={node},cpus={cpus[0]}-{cpus[-1]},memdev=memory{node}"]
    for a in range(shape.nodes):
        for b in range(shape.nodes):
            if a != b:
                argv += ["-numa", f"dist,src={a},dst={b},val={shape.distance(a, b)}"]
    return argv


def run(
    shape: Shape,
    init: Path,
    files: Mapping[str, bytes],
    orders: Sequence[Sequence[str]],
    folder: Path,
    *,
    limit_s: float,
    kvm: bool = False,
    base: Path | None = None,
) -> list[Done]:
    """Boot a guest, have it do ``orders`` one after the other, and switch it off; what it said is in ``folder``/console.

    ``init``: its first process, linked statically. ``files``: path → content. An order: the program's path and its
    arguments, without tabs and ends of lines. Gives one ``Done`` per order; those that the guest did not end within
    ``limit_s`` have no status. Raises SetupError where this machine lacks something.
    """
    boot = kernel()
    lines = ["\t".join(order) + "\n" for order in orders]
    if any(
        len(line.splitlines()) != 1 or line.count("\t") != len(order) - 1
        for line, order in zip(lines, orders, strict=True)
    ):
        raise ValueError("an argument of an order holds a tab or an end of line")
    archive, console = folder / "initramfs", folder / "console"
    archive.write_bytes(
        (base.read_bytes() if base is not None else b"")
        + initramfs.pack({**files, "init": init.read_bytes(), "orders": "".join(lines).encode()})
    )
    with console.open("wb") as output:
        emulator = subprocess.Popen(
            command(shape, boot, archive, kvm=kvm), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            emulator.wait(limit_s)
        except subprocess.TimeoutExpired:
            pass  # what it has said until then counts
        finally:
            emulator.kill()
            emulator.wait()
    return read_console(console.read_text(errors="replace"), len(orders))


def read_console(text: str, orders: int) -> list[Done]:
    """What the first process has said, taken apart: one ``Done`` per order."""
    text = text.replace("\r", "")
    begins, ends = {}, {}
    for mark in _MARK.finditer(text):
        if mark[2] is not None:
            begins[int(mark[2])] = mark.end() + 1
        elif mark[3] is not None:
            ends[int(mark[3])] = (mark.start(), int(mark[4]))
    done = []
    for number in range(orders):
        end, status = ends.get(number, (len(text), None))
        done.append(Done(status, text[begins[number] : end].strip("\n") if number in begins else ""))
    return done


def kvm_works(init: Path, base: Path | None = None) -> bool:
    """Whether a guest of two CPUs comes up and goes down under KVM, within a limit. ``base``: an archive with what ``init``
    needs."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.TemporaryDirectory(prefix="orch-guest-") as folder:
        run(Shape(2, 1, 1024), init, {}, [], Path(folder), limit_s=_PROBE_S, kvm=True, base=base)
        return OVER in (Path(folder) / "console").read_text(errors="replace")
