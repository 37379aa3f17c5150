"""The programs of a guest that is a host: this machine's own sshd, Python and tools, with what they load, as one archive.

Nothing is installed and nothing is fetched: what this machine runs is what the guest runs. The archive is made once, and again where one of the files
has changed; it lies in the cache under a digest of names, sizes and times.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.bundle import cache
from orchestrator.errors import SetupError
from orchestrator.lab import initramfs
from orchestrator.lab.sshd import SYSTEM_PATH

#: kernel modules of the network card, each after those that it needs
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
)
_NEEDED = ("sh", "sshd", "mount", "ip", "insmod", "hostname", "cat", "mkdir", "chmod")
_WISHED = (
    *(
        "bash",
        "ls",
        "cp",
        "mv",
        "rm",
        "ln",
        "rmdir",
        "stat",
        "touch",
        "head",
        "tail",
        "wc",
        "sort",
        "tr",
        "cut",
        "tee",
    ),
    *(
        "sleep",
        "true",
        "false",
        "env",
        "id",
        "uname",
        "df",
        "du",
        "sync",
        "dd",
        "echo",
        "printf",
        "test",
        "expr",
        "date",
    ),
    *(
        "mktemp",
        "readlink",
        "realpath",
        "dirname",
        "basename",
        "sha256sum",
        "tar",
        "gzip",
        "zstd",
        "xz",
        "find",
        "xargs",
    ),
    *(
        "grep",
        "sed",
        "awk",
        "umount",
        "dmesg",
        "setsid",
        "nohup",
        "timeout",
        "kill",
        "ps",
        "nproc",
        "taskset",
        "numactl",
    ),
    *("lscpu", "flock", "seq", "nice", "prlimit", "free", "sysctl"),
)
_ALSO = (
    "/usr/lib/openssh/sftp-server",
    "/usr/lib/openssh/sshd-session",
    "/usr/lib/openssh/sshd-auth",
    "/etc/os-release",
)
_LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|config-[^/]*|(site|dist)-packages)(/|$)"
)
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def archive(kernel: Path) -> Path:
    """The archive for guests with this kernel. Raises SetupError where this machine lacks something for it."""
    files = dict(_files())
    modules = list(_modules(kernel))
    said = "\n".join(f"{name} {path} {_of(path)}" for name, path in [*sorted(files.items()), *modules])
    digest = hashlib.sha256(f"1 {said}".encode()).hexdigest()[:16]
    path = cache.folder("guest") / f"userland-{digest}.cpio"
    with cache.locked("guest-userland"):
        if not path.is_file():
            for old in path.parent.glob("userland-*.cpio"):
                old.unlink()
            cache.write_atomically(path, _packed(files, modules))
    return path


def _of(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _packed(files: dict[str, Path], modules: list[tuple[str, Path]]) -> bytes:
    content = {name: path.read_bytes() for name, path in files.items()}
    times = {name: int(path.stat().st_mtime) for name, path in files.items()}
    content |= {name: text.encode() for name, text in _ACCOUNTS.items()}
    for name, path in modules:
        data = path.read_bytes()
        content[name] = lzma.decompress(data) if path.suffix == ".xz" else data
    links = {**_LINKS, "usr/bin/python3": Path(sys.executable).resolve().name}
    return initramfs.pack(content, links, times)


def _files() -> Iterator[tuple[str, Path]]:
    """Where it lies in the guest → the file here."""
    path = os.environ.get("PATH", "") + ":" + SYSTEM_PATH
    programs: list[Path] = []
    for name in (*_NEEDED, *_WISHED):
        found = shutil.which(name, path=path)
        if found is not None and _is_elf(Path(found)):
            folder = "sbin" if Path(found).parent.name == "sbin" else "bin"
            yield f"usr/{folder}/{name}", Path(found)
            programs.append(Path(found))
        elif name in _NEEDED:
            raise SetupError(
                "guest",
                f"this machine has no {name} for a guest",
                "apt-get install openssh-server iproute2 kmod",
            )
    for also in map(Path, _ALSO):
        if also.exists():
            yield str(also).lstrip("/"), also
            programs.extend([also] if _is_elf(also) else [])
    python = Path(sys.executable).resolve()
    yield f"usr/bin/{python.name}", python
    extensions = []
    library = Path(sysconfig.get_path("stdlib")).resolve()
    home = f"usr/lib/{library.name}"  # where a Python in /usr/bin looks
    for file in sorted(library.rglob("*")):
        inner = file.relative_to(library)
        if file.is_file() and not _LEFT_OUT.search(f"/{inner}"):
            yield f"{home}/{inner}", file
            if file.suffix == ".so":
                extensions.append(file)
    for needed in initramfs.libraries([*programs, python, *extensions]):
        yield _merged(needed), Path(needed)


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _merged(path: str) -> str:
    """Below usr/, as bin, lib and their like are links in the guest."""
    inner = path.lstrip("/")
    return inner if inner.split("/")[0] not in _LINKS else f"usr/{inner}"


def _modules(kernel: Path) -> Iterable[tuple[str, Path]]:
    """In the order in which they are to be loaded. Raises SetupError where the kernel's are not here."""
    version = kernel.name.removeprefix("vmlinuz-")
    roots = [Path("/lib/modules"), cache.cache_root() / "guest" / "lib" / "modules"]
    found = {
        file.name.split(".")[0]: file for root in reversed(roots) for file in (root / version).rglob("*.ko*")
    }
    here = [name for name in MODULES if name in found]
    if "virtio_net" not in here:
        raise SetupError("guest", f"the modules of the kernel {version} are not here", "make guests")
    return [(f"modules/{number:02}-{name}.ko", found[name]) for number, name in enumerate(here)]
