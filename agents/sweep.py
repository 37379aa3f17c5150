"""Put a host in order: end what outlived its supervisor, remove the folders of launches long past."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from agents import node, tree
from agents.launch import MARK, RUNNING, STARTING, Launch, launches
from agents.limits import processes, send

#: Folders of launches that are over are kept this long: the controller may still want to read them.
KEEP_S = 7 * 86400.0


def stop(launch: Launch, wait_s: float) -> str:
    """Ask the supervisor to end the launch; its state after at most ``wait_s``. The request lies in a
    file as well, for a supervisor that is only just coming up."""
    if launch.state() in (STARTING, RUNNING):
        with contextlib.suppress(OSError):
            launch.stop_file.touch()
    end = time.monotonic() + wait_s
    asked: Optional[int] = None
    while True:
        pid = launch.supervisor()
        if pid is not None and pid != asked:
            send([pid], signal.SIGTERM)
            asked = pid
        state = launch.state()
        if state not in (STARTING, RUNNING) or time.monotonic() > end:
            return state
        time.sleep(0.02)


def sweep(spool: Path, run: Optional[str], older_than_s: float, live: bool) -> Dict[str, Any]:
    """``live``: end launches that are still running, too (of ``run``, or all). Returns what was done:
    {"stopped": [names], "orphans": [pids], "removed": [names]}."""
    stopped: List[str] = []
    removed: List[str] = []
    if live:
        for launch in launches(spool, run):
            if launch.state() in (STARTING, RUNNING):
                stop(launch, 10.0)
                stopped.append(_name(launch))
    orphans = end_orphans(spool, run)
    if live:
        orphans += node.part(spool, run)["ended"]
    for launch in launches(spool, run):
        if launch.state() not in (STARTING, RUNNING) and _age_s(launch) >= older_than_s:
            launch.remove()
            removed.append(_name(launch))
            for parent in (launch.folder.parent, launch.folder.parent.parent):
                with contextlib.suppress(OSError):
                    parent.rmdir()
    return {"stopped": stopped, "orphans": orphans, "removed": removed}


def end_orphans(spool: Path, run: Optional[str] = None) -> List[int]:
    """Processes of launches whose supervisor is gone, told by their environment or by the control group that they are in. SIGKILL."""
    root = str(spool / "runs" / run if run else spool / "runs") + "/"
    found: List[int] = []
    alive: Dict[str, bool] = {}
    for p in processes():
        folder = _marked(p.pid)
        if not folder.startswith(root):
            continue
        if folder not in alive:
            alive[folder] = _is_watched(spool, folder)
        if not alive[folder] and p.pid != os.getpid():
            found.append(p.pid)
    send(found, signal.SIGKILL)
    for launch in launches(spool, run):
        if launch.state() not in (STARTING, RUNNING):
            found += [pid for pid in tree.end_left(launch.folder) if pid not in found]
    return found


def _marked(pid: int) -> str:
    try:
        environment = Path("/proc/%d/environ" % pid).read_bytes()
    except OSError:
        return ""
    mark = MARK.encode() + b"="
    for item in environment.split(b"\0"):
        if item.startswith(mark):
            return os.fsdecode(item[len(mark) :])
    return ""


def _is_watched(spool: Path, folder: str) -> bool:
    parts = Path(folder).relative_to(spool / "runs").parts
    if len(parts) != 3 or not parts[2].isdigit():
        return False
    try:
        return Launch(spool, parts[0], parts[1], int(parts[2])).state() in (STARTING, RUNNING)
    except ValueError:
        return False


def _age_s(launch: Launch) -> float:
    newest = 0.0
    for path in (launch.journal, launch.order):
        with contextlib.suppress(OSError):
            newest = max(newest, path.stat().st_mtime)
    return time.time() - newest


def _name(launch: Launch) -> str:
    return "%s/%s/%d" % (launch.run, launch.step, launch.number)
