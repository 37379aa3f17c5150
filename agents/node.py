"""This host as a node of a run's Ray cluster: started, and ended without a trace.

Everything that Ray starts carries MARK in its environment, the folder of the node under the spool: so it is found
whoever its parent is by then. The token comes on standard input and lies in a file of ours.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Optional

from agents.launch import check_name
from agents.limits import processes, send

MARK = "ORCH_NODE_DIR"
#: what Ray may have as its folder, and nothing else is removed
_HOME = re.compile(r"\A/tmp/orch-ray-[^/]+\Z")
ANY = "any"
START_S = 90.0
#: a line of Ray's log that complains of nothing
_INFO = re.compile(r"^[-0-9]+ [0-9:,]+\s+INFO ")
CHECK_S = 60.0
_GRACE_S = 3.0
_ASK = "import platform, ray; print(ray.__version__, platform.python_version())"


@dataclass(frozen=True)
class Order:
    """What a host needs to know to join. ``head`` is HOST:PORT of the cluster's GCS."""

    run: str
    head: str
    token: str
    #: interpreter that has Ray, or `ANY`
    python: str
    #: what the head has: Ray must be the same, Python in its first two numbers
    ray_version: str
    python_version: str
    labels: Dict[str, str]
    object_store_bytes: int
    #: put before everything else that the node's workers import
    path: str
    #: this host's own address, empty: the one that it has towards the head
    address: str = ""
    #: name of an option of `ray start` → value, such as ports
    options: Dict[str, str] = field(default_factory=dict)
    env: Dict[str, str] = field(default_factory=dict)
    #: variable → content of a file that nobody else may read, and whose path is its value: keys and certificates
    files: Dict[str, str] = field(default_factory=dict)


def interpreter(spool: Path, asked: str) -> str:
    """The one that is asked for; of `ANY` the environment that was made last in the spool, else that of this agent."""
    if asked != ANY:
        return asked
    made = [p for p in (spool / "env").glob("*/bin/python") if not p.parts[-3].startswith(".")]
    return str(max(made, key=lambda p: p.stat().st_mtime)) if made else sys.executable


def unfit(python: str, ray_version: str, python_version: str) -> str:
    """Why the interpreter cannot join, empty where it can."""
    try:
        done = subprocess.run(
            [python, "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_S,
            check=False,
            env=_plain(),
        )
    except (OSError, subprocess.SubprocessError) as e:
        return "%s cannot be run: %s" % (python, getattr(e, "strerror", None) or e)
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode != 0 or len(words) != 2:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return "no Ray under %s: %s" % (python, said[-1] if said else "exit %d" % done.returncode)
    if words[0] != ray_version:
        return "Ray is %s there and %s here" % (words[0], ray_version)
    if words[1].split(".")[:2] != python_version.split(".")[:2]:
        return "Python is %s there and %s here" % (words[1], python_version)
    return ""


def join(spool: Path, order: Order) -> Dict[str, Any]:
    """{joined, why, address}. Nothing is left behind where it did not. Raises OSError where the spool cannot be used."""
    folder = _folder(spool, order.run)
    order = replace(order, python=interpreter(spool, order.python))
    why = unfit(order.python, order.ray_version, order.python_version)
    if why:
        return {"joined": False, "why": why, "address": ""}
    part(spool, order.run)
    taken = _taken(order.options)
    if taken:
        return {"joined": False, "why": "port %s is in use there" % ", ".join(taken), "address": ""}
    address = order.address or _towards(order.head)
    folder.mkdir(parents=True, mode=0o700)
    # short: sockets lie below it, and their paths are limited to 107 bytes
    home = tempfile.mkdtemp(prefix="orch-ray-", dir="/tmp")
    (folder / "home").write_text(home)
    secrets = {"RAY_AUTH_TOKEN_PATH": _secret(folder / "token", order.token)}
    for variable, text in order.files.items():
        secrets[variable] = _secret(folder / check_name(variable, "files"), text)
    why = _start(folder, home, secrets, order, address)
    if why:
        part(spool, order.run)
    return {"joined": not why, "why": why, "address": address}


def part(spool: Path, run: Optional[str]) -> Dict[str, Any]:
    """End the node of that run, or of all runs: {ended: [pids], left: [pids]}."""
    root = str(spool / "ray" / run if run else spool / "ray") + "/"
    end = time.monotonic() + _GRACE_S
    ended: List[int] = []
    number = signal.SIGTERM
    while True:
        found = marked(root)
        send(found, number)
        ended += [pid for pid in found if pid not in ended]
        if not found or time.monotonic() > end + _GRACE_S:
            break
        if time.monotonic() > end:
            number = signal.SIGKILL
        time.sleep(0.05)
    folders = [spool / "ray" / run] if run else _folders(spool / "ray")
    for folder in folders:
        _remove(folder)
    return {"ended": ended, "left": found}


def marked(root: str) -> List[int]:
    """Processes whose mark begins with ``root``; this one is none."""
    wanted = ("%s=%s" % (MARK, root)).encode()
    found = []
    for p in processes():
        with contextlib.suppress(OSError):
            environment = Path("/proc/%d/environ" % p.pid).read_bytes()
            if (
                p.pid != os.getpid()
                and p.state not in "ZX"
                and any(item.startswith(wanted) for item in environment.split(b"\0"))
            ):
                found.append(p.pid)
    return found


def _taken(options: Dict[str, str]) -> List[str]:
    """Of the ports that are named one by one, those that something else has."""
    taken = []
    for name, value in sorted(options.items()):
        if name.endswith("-port") and not name.endswith("worker-port"):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("", int(value)))
                except OSError:
                    taken.append(value)
    return taken


def _secret(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def _start(folder: Path, home: str, secrets: Dict[str, str], order: Order, address: str) -> str:
    argv = [order.python, "-m", "ray.scripts.scripts", "start", "--address", order.head]
    argv += ["--node-ip-address", address, "--temp-dir", home, "--disable-usage-stats"]
    argv += ["--num-cpus", str(len(os.sched_getaffinity(0))), "--num-gpus", "0"]
    argv += ["--object-store-memory", str(order.object_store_bytes)]
    argv += ["--labels", ",".join("%s=%s" % item for item in order.labels.items())]
    for name, value in order.options.items():
        argv += ["--" + name, value]
    # without the first Ray's agents write their title over their environment, and with it over the mark
    mine = {"SPT_NOENV": "1", MARK: str(folder) + "/", "PYTHONPATH": order.path, **secrets}
    log = folder / "log"
    cpus = os.sched_getaffinity(0)
    if len(cpus) > 1:
        # the housekeeping CPU, for all that Ray starts (orchestrator.planning.place)
        os.sched_setaffinity(0, {min(cpus)})
    try:
        with log.open("wb") as out:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=START_S,
                check=False,
                cwd=home,
                env={**_plain(), **order.env, **mine},
                start_new_session=True,
            )
    except (OSError, subprocess.SubprocessError) as e:
        return "Ray does not start: %s" % (getattr(e, "strerror", None) or e)
    if done.returncode == 0:
        return ""
    lines = [x.strip() for x in log.read_text(errors="replace").splitlines()]
    # what it was about to do says nothing of why it gave up
    said = [x for x in lines if x and not _INFO.search(x)]
    why = (
        "exit status %d" % done.returncode
        if done.returncode > 0
        else "killed by signal %d" % -done.returncode
    )
    return "Ray does not start: %s" % (said[-1][:300] if said else why + ", and it says nothing of why")


def _plain() -> Dict[str, str]:
    """The environment without what belongs to another Ray or Python."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHON"))}


def _towards(head: str) -> str:
    """Our address on the way to it; nothing is sent."""
    host, _, port = head.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, int(port)))
        return str(s.getsockname()[0])


def _folder(spool: Path, run: str) -> Path:
    return spool / "ray" / check_name(run, "run")


def _folders(parent: Path) -> List[Path]:
    with contextlib.suppress(OSError):
        return [p for p in parent.iterdir() if p.is_dir()]
    return []


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        home = (folder / "home").read_text()
        if _HOME.match(home):
            shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
