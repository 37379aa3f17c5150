"""What a host lacks before anything is run on it: asked by a shell script that needs no Python and writes nothing.

`probe` asks, `findings` judges; the second is pure. A finding is one line: how bad, what, and what to do about it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.errors import RemoteFailed
from orchestrator.transport import Link

#: from well to bad: `note` costs something, `warning` keeps the host from a part of what is offered, `failure` from all of it
OK, NOTE, WARNING, FAILURE = "ok", "note", "warning", "failure"
LEVELS = (OK, NOTE, WARNING, FAILURE)

#: where the head of a Ray cluster listens, unless told otherwise
RAY_PORT = 6379
AGENT_PYTHON = (3, 9)
_MIB = 1 << 20
#: agent, harness in all variants, journals
_SPOOL_BYTES = 200 * _MIB
#: wheels and what is made of them
_BOOTSTRAP_BYTES = 700 * _MIB
_MEMORY_BYTES = 512 * _MIB
_SHM_BYTES = 64 * _MIB
_OPEN_FILES = 1024
_CLOCK_NOTED_S = 1.0
_PROBE_S = 30.0

_PROBE = r"""
say() { echo "orch:$1 $2"; }
python=$1 spool=$2
case $spool in "~" | "~/"*) spool=${HOME%/}${spool#"~"} ;; esac
say clock "$(date +%s.%N)"
say uid "$(id -u)"
say arch "$(uname -m)"
say kernel "$(uname -r)"
found=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) && say python "$found"
[ -n "$found" ] && say ray "$("$python" -c 'from importlib.metadata import version; print(version("ray"))' 2>/dev/null)"
[ -n "$found" ] && say memfd "$("$python" -c 'import os; print(hasattr(os, "memfd_create"))' 2>/dev/null)"
say spool "$spool"
there=$spool
while [ ! -e "$there" ]; do
  case $there in */*) up=${there%/*} ;; *) up=. ;; esac
  there=${up:-/}
done
if [ -d "$there" ] && [ -w "$there" ]; then say writable yes; else say writable "no: $there"; fi
say free "$(df -Pk "$there" 2>/dev/null | awk 'NR == 2 { print $4 }')"
say mount "$(df -Pk "$there" 2>/dev/null | awk 'NR == 2 { print $6 }')"
say noexec "$(awk -v m="$(df -Pk "$there" 2>/dev/null | awk 'NR == 2 { print $6 }')" '$2 == m && $4 ~ /(^|,)noexec(,|$)/ { n = "yes" } END { print n }' /proc/mounts 2>/dev/null)"
say shm "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')"
say memory "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo 2>/dev/null)"
say files "$(ulimit -n)"
for program in zstd openssl sha256sum; do command -v "$program" >/dev/null && say has "$program"; done
command -v sudo >/dev/null && sudo -n true 2>/dev/null && say has sudo
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { n = split($2, a, ":"); print "orch:listens " a[n] }'
exit 0
"""


@dataclass(frozen=True)
class Finding:
    """About one host: ``level`` is one of `LEVELS`; ``hint`` says what to do, "" where there is nothing."""

    level: str
    what: str
    hint: str = ""


def _own_ray() -> str:
    from importlib import metadata

    return metadata.version("ray")


@dataclass(frozen=True)
class Wanted:
    """What the hosts must match: this controller's own versions, and ports that must be free there."""

    python: str = field(default_factory=platform.python_version)
    ray: str = field(default_factory=_own_ray)
    arch: str = field(default_factory=platform.machine)
    ports: Sequence[int] = (RAY_PORT,)


@dataclass(frozen=True)
class Said:
    """A host's answer: word → its last value; words that come more than once are in ``many``."""

    values: dict[str, str]
    many: dict[str, list[str]]
    #: host clock minus this machine's as far as the answer proves it, seconds
    clock_offset_s: float = 0.0

    def number(self, word: str) -> int | None:
        text = self.values.get(word, "")
        return int(text) if text.isdigit() else None


def probe(link: Link, python: str, spool: str, pace: float = 1.0) -> Said:
    """``pace``: see `Address.pace`. Raises `LinkError`; RemoteFailed where the login shell runs no commands."""
    before = time.time()
    done = link.run(["sh", "-c", _PROBE, "probe", python, spool], timeout_s=_PROBE_S * pace)
    after = time.time()
    lines = [
        line[5:] for line in done.stdout.decode(errors="replace").splitlines() if line.startswith("orch:")
    ]
    pairs = [(word, value.strip()) for word, _, value in (line.partition(" ") for line in lines)]
    if done.exit != 0 or not pairs:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        said = words[-1] if words else f"exit {done.exit}"
        raise RemoteFailed(link.host, f"its shell does not run a script: {said}", "is it a POSIX shell?")
    values = dict(pairs)
    many: dict[str, list[str]] = {}
    for word, value in pairs:
        many.setdefault(word, []).append(value)
    try:
        clock = float(values["clock"].removesuffix(".N").removesuffix(".%N"))
    except (KeyError, ValueError):
        return Said(values, many)
    return Said(values, many, min(0.0, clock - before) + max(0.0, clock - after))


def findings(host: str, said: Said, wanted: Wanted) -> list[Finding]:
    """The worst first; one that says ok where there is nothing to complain about."""
    found = [
        *_python(host, said, wanted),
        *_spool(host, said),
        *_machine(said, wanted),
        *_clock(said),
        *_ports(said, wanted),
        *_programs(said),
    ]
    found.sort(key=lambda finding: -LEVELS.index(finding.level))
    if any(finding.level in (WARNING, FAILURE) for finding in found):
        return found
    return [Finding(OK, _summary(said)), *found]


def worst(found: Sequence[Finding]) -> str:
    return max((finding.level for finding in found), key=LEVELS.index, default=OK)


def _summary(said: Said) -> str:
    free, memory = (said.number("free") or 0) / _MIB, (said.number("memory") or 0) / _MIB
    python = said.values.get("python", "?")
    return f"ready: Python {python}, {memory:.1f} GiB memory, {free:.1f} GiB free for the spool"


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _python(host: str, said: Said, wanted: Wanted) -> list[Finding]:
    there = said.values.get("python", "")
    hint = f"install Python {'.'.join(wanted.python.split('.')[:2])}, or set `python:` of {host} in the inventory"
    if not there:
        return [Finding(FAILURE, "no Python on the host", hint)]
    if _parts(there) < AGENT_PYTHON:
        return [Finding(FAILURE, f"Python {there}: the agent needs 3.9 or later", hint)]
    if said.values.get("memfd") == "False":
        return [Finding(FAILURE, f"Python {there} has no os.memfd_create: its libc is too old", hint)]
    if _parts(there)[:2] != _parts(wanted.python)[:2]:
        what = (
            f"Python {there}: Ray wants {wanted.python}, so that the host cannot join and is driven over SSH"
        )
        return [Finding(NOTE, what, hint)]
    return _ray(said.values.get("ray", ""), there, wanted)


def _ray(ray: str, python: str, wanted: Wanted) -> list[Finding]:
    if ray and ray != wanted.ray:
        what = f"Ray {ray} is installed: {wanted.ray} is wanted, so that the host cannot join and is driven over SSH"
        return [Finding(WARNING, what, "run: orch hosts bootstrap")]
    if python != wanted.python:
        return [
            Finding(
                NOTE,
                f"Python {python}, here {wanted.python}: Ray joins the two where the level of its check is `minor`",
            )
        ]
    return []


def _spool(host: str, said: Said) -> list[Finding]:
    spool = said.values.get("spool", "")
    writable = said.values.get("writable", "")
    hint = f"set `spool:` of {host} in the inventory"
    if writable.startswith("no: "):
        return [Finding(FAILURE, f"{spool} cannot be made: {writable[4:]} is not writable", hint)]
    found = []
    if said.values.get("noexec") == "yes":
        what = f"{spool} lies on {said.values.get('mount')}, which is mounted noexec: no program starts there"
        found.append(Finding(FAILURE, what, hint))
    free = said.number("free")
    if free is not None and free * 1024 < _SPOOL_BYTES:
        what = f"{free // 1024} MiB free for {spool}: {_SPOOL_BYTES // _MIB} are needed"
        found.append(Finding(FAILURE, what, f"free some space there, or {hint}"))
    elif free is not None and free * 1024 < _BOOTSTRAP_BYTES and not said.values.get("ray"):
        what = (
            f"{free // 1024} MiB free for {spool}: an environment with Ray needs {_BOOTSTRAP_BYTES // _MIB}"
        )
        found.append(Finding(WARNING, what, f"free some space there, or {hint}"))
    return found


def _machine(said: Said, wanted: Wanted) -> list[Finding]:
    found = []
    arch = said.values.get("arch", "")
    if arch != wanted.arch:
        what = f"{arch}, and the bundle is built here for {wanted.arch}: native steps are skipped"
        found.append(Finding(WARNING, what, f"run orch from a machine that is {arch}"))
    memory, shm, files = said.number("memory"), said.number("shm"), said.number("files")
    if memory is not None and memory * 1024 < _MEMORY_BYTES:
        found.append(Finding(WARNING, f"{memory // 1024} MiB of memory: {_MEMORY_BYTES // _MIB} are needed"))
    if shm is not None and shm * 1024 < _SHM_BYTES:
        what = f"{shm // 1024} MiB free in /dev/shm: Ray wants {_SHM_BYTES // _MIB} and more"
        found.append(Finding(NOTE, what, "mount -o remount,size=… /dev/shm"))
    if files is not None and files < _OPEN_FILES:
        what = f"{files} open files are allowed: Ray wants {_OPEN_FILES} and more"
        found.append(Finding(NOTE, what, "raise the limit of the login (`ulimit -n`)"))
    return found


def clock_finding(offset: float) -> Finding | None:
    """Of a host's clock minus this machine's, seconds; None where it is near enough."""
    if abs(offset) < _CLOCK_NOTED_S:
        return None
    way = "ahead" if offset > 0 else "behind"
    amount = f"{abs(offset):.1f} s" if abs(offset) < 120 else f"{abs(offset) / 3600:.1f} h"
    return Finding(WARNING, f"its clock is {amount} {way}", "set it there (chronyd, or `date -s`)")


def _clock(said: Said) -> list[Finding]:
    found = clock_finding(said.clock_offset_s)
    return [] if found is None else [found]


def _ports(said: Said, wanted: Wanted) -> list[Finding]:
    listening = {int(port, 16) for port in said.many.get("listens", ())}
    hint = "end what listens there (`ss -ltnp` shows it), or take another port"
    return [Finding(WARNING, f"port {port} is in use", hint) for port in wanted.ports if port in listening]


def _programs(said: Said) -> list[Finding]:
    has = set(said.many.get("has", ()))
    found = []
    if not has & {"openssl", "sha256sum"}:
        found.append(
            Finding(
                FAILURE, "neither openssl nor sha256sum: what arrives cannot be checked", "install coreutils"
            )
        )
    if "zstd" not in has:
        found.append(Finding(NOTE, "no zstd: what is shipped travels unpacked", "install zstd"))
    if said.values.get("uid") != "0" and "sudo" not in has:
        what = "neither root nor sudo without a password: its kernel cannot be tuned"
        found.append(Finding(NOTE, what, "allow it in sudoers (NOPASSWD), or run without `tune:`"))
    return found
