"""What this host is, from /proc and /sys, as far as a process without privilege can tell.

Nothing here fails because something is missing: containers, old kernels and other architectures leave
out files, and what cannot be told is empty, 0, or one made-up NUMA node. Every function takes the root
of the tree that it reads, so that trees of other machines can be read, too.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Set, Tuple

from agents.virtualisation import product, virtualisation
from agents.wire import PROTOCOL, Cpu, Facts, Node

_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"
_CACHES_MAX = 8


def collect(spool: str, root: str = "/", allowed: Optional[Set[int]] = None) -> Facts:
    """``allowed``: CPUs that this process may run on; None asks the kernel."""
    top = Path(root)
    if allowed is None:
        allowed = os.sched_getaffinity(0)
    info = cpuinfo(top)
    numa = node_cpus(top)
    cpus = topology(top, allowed, numa)
    memory = meminfo(text(top, "proc/meminfo"))
    total = memory.get("MemTotal", 0)
    return Facts(
        protocol=PROTOCOL,
        hostname=text(top, "proc/sys/kernel/hostname") or platform.node(),
        arch=text(top, "proc/sys/kernel/arch") or platform.machine(),
        cpu_model=cpu_model(info),
        cpu_flags=sorted(set((info.get("flags") or info.get("Features") or "").split())),
        cpus=cpus,
        nodes=nodes(top, cpus, numa, total),
        caches=caches(top, cpus),
        memory_bytes=total,
        kernel=text(top, "proc/sys/kernel/osrelease") or platform.release(),
        os=os_name(top),
        python=platform.python_version(),
        libc=libc(),
        virtualisation=virtualisation(top, info),
        governor=governor(top, cpus),
        smt=smt(top, cpus),
        thp=chosen(text(top, "sys/kernel/mm/transparent_hugepage/enabled")),
        numa_balancing=named(text(top, "proc/sys/kernel/numa_balancing"), ("off", "on", "tiering", "on")),
        aslr=named(text(top, "proc/sys/kernel/randomize_va_space"), ("off", "conservative", "full")),
        microcode=info.get("microcode", ""),
        boot_id=text(top, "proc/sys/kernel/random/boot_id"),
        clock_s=time.time(),
        free_memory_bytes=memory.get("MemAvailable", memory.get("MemFree", 0)),
        spool_free_bytes=free_bytes(spool),
        uptime_s=first_number(text(top, "proc/uptime")),
        load_1m=first_number(text(top, "proc/loadavg")),
        product=product(top),
        quota_cpus=quota_cpus(top),
    )


# ---- reading


def text(top: Path, path: str) -> str:
    """Contents without blanks around, "" where it cannot be read."""
    try:
        return (top / path).read_bytes().decode("utf-8", "replace").strip().strip("\0")
    except OSError:
        return ""


def number(value: str, otherwise: int = 0) -> int:
    try:
        return int(value)
    except ValueError:
        return otherwise


def first_number(value: str) -> float:
    with contextlib.suppress(ValueError, IndexError):
        return float(value.split(maxsplit=1)[0])
    return 0.0


def cpu_list(value: str) -> List[int]:
    """``0-3,8`` → [0, 1, 2, 3, 8]; what is no list is passed over."""
    found: Set[int] = set()
    for part in value.replace("\n", ",").split(","):
        first, dash, last = part.strip().partition("-")
        if first.isdigit() and (not dash or last.isdigit()):
            found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def chosen(value: str) -> str:
    """``always [madvise] never`` → ``madvise``."""
    return value.partition("[")[2].partition("]")[0]


def named(value: str, names: Tuple[str, ...]) -> str:
    """The kernel's number as a word; as it is where the kernel knows more than we do."""
    return names[int(value)] if value.isdigit() and int(value) < len(names) else value


# ---- CPUs


def cpuinfo(top: Path) -> Dict[str, str]:
    """The first CPU's block of /proc/cpuinfo, and what stands in no block of a CPU (arm: Hardware)."""
    found: Dict[str, str] = {}
    for line in text(top, "proc/cpuinfo").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def online(top: Path) -> List[int]:
    listed = cpu_list(text(top, _CPUS + "/online"))
    if listed:
        return listed
    found = []
    for line in text(top, "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "processor" and value.strip().isdigit():
            found.append(int(value))
    return sorted(found) or [0]


def topology(top: Path, allowed: Set[int], numa: Dict[int, List[int]]) -> List[Cpu]:
    """All that are online, in order of their number."""
    node_of = {cpu: node for node, members in numa.items() for cpu in members}
    anywhere = min(numa, default=0)
    rows = []
    for cpu in online(top):
        where = "%s/cpu%d/topology/" % (_CPUS, cpu)
        siblings = cpu_list(
            text(top, where + "core_cpus_list") or text(top, where + "thread_siblings_list")
        ) or [cpu]
        # -1 where the firmware does not tell (arm)
        package = max(0, number(text(top, where + "physical_package_id")))
        rows.append((cpu, number(text(top, where + "core_id"), -1), package, min(siblings)))
    # core ids repeat between the clusters of some arm machines: the first sibling always tells cores apart
    by_id: Dict[Tuple[int, int], Set[int]] = {}
    for _, core, package, first in rows:
        by_id.setdefault((package, core), set()).add(first)
    usable = all(len(firsts) == 1 and core >= 0 for (_, core), firsts in by_id.items())
    return [
        Cpu(
            cpu,
            core if usable else first,
            package,
            node_of.get(cpu, anywhere),
            cpu in allowed,
            last_cache(top, cpu),
        )
        for cpu, core, package, first in rows
    ]


def last_cache(top: Path, cpu: int) -> int:
    """The first CPU of those that share this one's last cache; -1 where the kernel does not tell."""
    best, shared = 0, [-1]
    for index in range(_CACHES_MAX):
        where = "%s/cpu%d/cache/index%d/" % (_CPUS, cpu, index)
        level = number(text(top, where + "level"))
        if level > best and text(top, where + "type") != "Instruction":
            sharing = cpu_list(text(top, where + "shared_cpu_list"))
            best, shared = level, sharing or [-1]
    return min(shared)


#: Of those arm processors that servers have; others keep their numbers.
_ARM_PARTS = {
    ("0x41", "0xd03"): "ARM Cortex-A53",
    ("0x41", "0xd08"): "ARM Cortex-A72",
    ("0x41", "0xd0b"): "ARM Cortex-A76",
    ("0x41", "0xd0c"): "ARM Neoverse-N1",
    ("0x41", "0xd40"): "ARM Neoverse-V1",
    ("0x41", "0xd49"): "ARM Neoverse-N2",
    ("0x41", "0xd4f"): "ARM Neoverse-V2",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0x48", "0xd01"): "HiSilicon TaiShan v110",
}


def cpu_model(info: Dict[str, str]) -> str:
    for key in ("model name", "cpu model", "cpu"):
        if info.get(key):
            return info[key]
    maker, part = info.get("CPU implementer", ""), info.get("CPU part", "")
    if maker:
        return _ARM_PARTS.get((maker, part), "arm implementer %s part %s" % (maker, part))
    return info.get("Hardware", "")


def caches(top: Path, cpus: Iterable[Cpu]) -> Dict[str, int]:
    """Of the first CPU, bytes of one instance each."""
    found: Dict[str, int] = {}
    first = min((c.cpu for c in cpus), default=0)
    for index in range(_CACHES_MAX):
        where = "%s/cpu%d/cache/index%d/" % (_CPUS, first, index)
        level, size = text(top, where + "level"), text(top, where + "size")
        if level and size:
            kind = {"Data": "d", "Instruction": "i"}.get(text(top, where + "type"), "")
            found["L%s%s" % (level, kind)] = _size(size)
    return found


def _size(value: str) -> int:
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(value[-1:], 0)
    return number(value[:-1]) * scale if scale else number(value)


def governor(top: Path, cpus: Iterable[Cpu]) -> str:
    """Of the CPUs that may be used; several with a comma between them."""
    found = {text(top, "%s/cpu%d/cpufreq/scaling_governor" % (_CPUS, c.cpu)) for c in cpus if c.allowed}
    return ",".join(sorted(found - {""}))


def smt(top: Path, cpus: List[Cpu]) -> str:
    """on | off | forceoff | notsupported, as the kernel says, or told from the topology."""
    said = text(top, _CPUS + "/smt/control")
    if said and said != "notimplemented":
        return said
    return "on" if len({(c.package, c.core) for c in cpus}) < len(cpus) else "notsupported"


def quota_cpus(top: Path) -> float:
    """The smallest quota of the control groups that this process is in, in CPUs; 0 where there is none."""
    found = []
    for line in text(top, "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            found += [_share(text(top, "sys/fs/cgroup/%scpu.max" % g)) for g in _groups(path)]
        elif "cpu" in controllers.split(","):
            for g in _groups(path):
                where = "sys/fs/cgroup/cpu/%scpu.cfs_" % g
                found.append(_share(text(top, where + "quota_us") + " " + text(top, where + "period_us")))
    return min((share for share in found if share > 0), default=0.0)


def _groups(path: str) -> List[str]:
    """A group and those around it, each with a slash behind; "" for the outermost."""
    parts = [p for p in path.split("/") if p and p != ".."]
    return ["/".join(parts[:n]) + "/" if n else "" for n in range(len(parts), -1, -1)]


def _share(value: str) -> float:
    """``QUOTA PERIOD`` → CPUs; 0 for ``max``, and for what is none."""
    words = value.split()
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
        return int(words[0]) / int(words[1])
    return 0.0


# ---- memory


def meminfo(contents: str) -> Dict[str, int]:
    """Name → bytes, from /proc/meminfo or a node's (``Node 0 MemTotal: 5 kB``)."""
    found: Dict[str, int] = {}
    for line in contents.splitlines():
        key, colon, value = line.partition(":")
        words = value.split()
        if colon and key.split() and words and words[0].isdigit():
            found[key.split()[-1]] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return found


def node_cpus(top: Path) -> Dict[int, List[int]]:
    """Node → its CPUs, for the nodes that are online; {} where the kernel knows no NUMA."""
    found: Dict[int, List[int]] = {}
    with contextlib.suppress(OSError):
        for folder in (top / _NODES).iterdir():
            name = folder.name[4:]
            if folder.name.startswith("node") and name.isdigit():
                found[int(name)] = cpu_list(text(top, "%s/%s/cpulist" % (_NODES, folder.name)))
    return dict(sorted(found.items()))


def nodes(top: Path, cpus: List[Cpu], numa: Dict[int, List[int]], total: int) -> List[Node]:
    """With at least one in it. A node may have memory and no CPU, or CPUs and no memory."""
    there = {c.cpu for c in cpus}
    if not numa:
        return [Node(0, sorted(there), total, [10])]
    found = []
    for node, members in numa.items():
        where = "%s/node%d/" % (_NODES, node)
        memory = meminfo(text(top, where + "meminfo")).get("MemTotal")
        if memory is None:
            memory = total if len(numa) == 1 else 0
        distances = [number(d) for d in text(top, where + "distance").split()]
        if len(distances) != len(numa):
            distances = [10 if other == node else 20 for other in numa]
        found.append(Node(node, [c for c in members if c in there], memory, distances))
    return found


# ---- software


def os_name(top: Path) -> str:
    for path in ("etc/os-release", "usr/lib/os-release"):
        for line in text(top, path).splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip().strip("\"'")
    return ""


def libc() -> str:
    with contextlib.suppress(ValueError, OSError):
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    return "musl" if any(Path("/lib").glob("ld-musl-*")) else ""


def free_bytes(spool: str) -> int:
    """On the file system where the spool is, or would be made; 0 where that cannot be told."""
    path = Path(spool).expanduser().absolute()
    for folder in (path, *path.parents):
        with contextlib.suppress(OSError):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
    return 0
