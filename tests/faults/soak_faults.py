"""What befalls the hosts and the controller of a soak, about once a minute: what, whom and how badly is drawn from a seed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import psutil

from orchestrator.errors import OrchError
from orchestrator.lab import faults, labs, life
from orchestrator.lab.faults import Severity

#: from one fault to the next, seconds
EVERY_S = 60.0
#: a fault begins so late in its minute at the most
_LATEST_S = 20.0
#: how long a fault waits for somebody whom it can befall
_VICTIM_S = 20.0
#: ends the supervisor of a launch that runs, and says its number
_AGENT = """
import json, os, pathlib, signal, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob('runs/*/*/*/pid')):
    try:
        about = json.loads(path.read_text())
        stat = pathlib.Path(f"/proc/{about['pid']}/stat").read_text().rpartition(')')[2].split()
        if stat[0] not in 'ZX' and int(stat[19]) == about['start']:
            os.kill(about['pid'], signal.SIGKILL)
            print(about['pid'])
            break
    except (OSError, ValueError, KeyError):
        pass
"""
#: ends the process of this host's Ray node that is called so
OF_RAY = """
import os, pathlib, signal, sys
for p in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        if b'ORCH_NODE_DIR=' in (p / 'environ').read_bytes() and (p / 'comm').read_text().strip() == sys.argv[1]:
            os.kill(int(p.name), signal.SIGKILL)
            print(p.name)
    except OSError:
        pass
"""
#: ends what reads a journal for the controller, or an SSH session that serves it
_READERS = """
import os, pathlib, signal, sys
for p in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        words = (p / 'cmdline').read_bytes().replace(b'\\0', b' ').decode(errors='replace')
        hit = ' follow ' in words if sys.argv[1] == 'follower' else words.startswith('sshd') and '@notty' in words
        if hit and int(p.name) != os.getpid():
            os.kill(int(p.name), signal.SIGKILL)
            print(p.name)
    except OSError:
        pass
"""


@dataclass(frozen=True)
class Draw:
    """What is to happen: ``at`` seconds after the beginning, to ``host``, for ``for_s`` (0: it is over at once)."""

    at: float
    what: str
    host: str
    for_s: float
    how: Severity


@dataclass(frozen=True)
class Done:
    """What has happened, at ``t`` of this machine's clock. ``text``: what came of it at once."""

    t: float
    draw: Draw
    text: str


@dataclass
class Scene:
    """Where it happens. ``controller``: the process of the session under way, None between two."""

    lab: str
    #: on each host
    spool: str
    controller: Callable[[], psutil.Process | None]
    #: no fault goes on when this is set
    over: threading.Event

    def run_on(self, host: str, script: str, *words: str) -> str:
        """What a Python ``script`` prints there, past its network."""
        lab = labs.load(self.lab)
        argv = [sys.executable, "-IS", "-c", script, *words]
        command = life.kind_of(lab).at(lab, lab.host(host), argv)
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False
        ).stdout.strip()


def _for_a_while(fault: str, back: str) -> Callable[[Scene, Draw], str]:
    def act(scene: Scene, draw: Draw) -> str:
        faults.befall(scene.lab, fault, draw.host, draw.how)
        scene.over.wait(draw.for_s)
        faults.befall(scene.lab, back, draw.host)
        return f"{back} after {draw.for_s:.0f} s"

    return act


def _on_host(script: str, *words: str) -> Callable[[Scene, Draw], str]:
    def act(scene: Scene, draw: Draw) -> str:
        return _killed(scene, lambda: scene.run_on(draw.host, script, *(words or (scene.spool,))))

    return act


def _killed(scene: Scene, kill: Callable[[], str]) -> str:
    """As soon as there is somebody; what was killed."""
    until = time.monotonic() + _VICTIM_S
    while time.monotonic() < until and not scene.over.is_set():
        found = kill()
        if found:
            return "killed " + " ".join(found.split())
        scene.over.wait(1.0)
    return "nobody was there"


def _of_controller(
    victims: Callable[[psutil.Process], list[psutil.Process]],
) -> Callable[[Scene, Draw], str]:
    def kill(scene: Scene) -> str:
        controller = scene.controller()
        if controller is None:
            return ""
        told = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for victim in victims(controller):
                os.kill(victim.pid, signal.SIGKILL)
                told.append(str(victim.pid))
        return " ".join(told)

    return lambda scene, _draw: _killed(scene, lambda: kill(scene))


def _words(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def family(controller: psutil.Process) -> list[psutil.Process]:
    """It and all that it has started."""
    return [controller, *controller.children(recursive=True)]


def _driver(controller: psutil.Process) -> list[psutil.Process]:
    return [p for p in controller.children() if "spawn_main" in _words(p)]


#: fault → how often of all, the least and most that it lasts, and who does it
TABLE: dict[str, tuple[int, tuple[float, float], Callable[[Scene, Draw], str]]] = {
    "cut": (4, (5.0, 40.0), _for_a_while("cut", "heal")),
    "freeze": (4, (5.0, 40.0), _for_a_while("freeze", "thaw")),
    "slow": (2, (20.0, 40.0), _for_a_while("slow", "heal")),
    "lossy": (2, (20.0, 40.0), _for_a_while("lossy", "heal")),
    "delayed": (1, (20.0, 40.0), _for_a_while("delayed", "heal")),
    "disk-full": (2, (5.0, 20.0), _for_a_while("disk-full", "heal")),
    "host off and on": (2, (5.0, 20.0), _for_a_while("kill", "revive")),
    "agent kill -9": (3, (0.0, 0.0), _on_host(_AGENT)),
    "raylet kill -9": (3, (0.0, 0.0), _on_host(OF_RAY, "raylet")),
    "reader kill -9": (1, (0.0, 0.0), _on_host(_READERS, "follower")),
    "SSH sessions kill -9": (1, (0.0, 0.0), _on_host(_READERS, "session")),
    "driver kill -9": (1, (0.0, 0.0), _of_controller(_driver)),
    "controller kill -9": (1, (0.0, 0.0), _of_controller(lambda p: [p])),
    "controller and its processes kill -9": (1, (0.0, 0.0), _of_controller(family)),
}


#: What ends a session of the controller.
ENDS_SESSION = frozenset({"controller kill -9", "controller and its processes kill -9"})


def drawn(
    seed: int,
    hosts: list[str],
    seconds: float,
    every_s: float = EVERY_S,
    spared: Collection[str] = (),
) -> list[Draw]:
    """One in each ``every_s``, from the first on. What occurs in a soak that is long enough occurs in every one: kinds are dealt as
    cards are, each deck of `TABLE` without those that are ``spared`` shuffled anew."""
    chance = random.Random(seed)
    deck: list[str] = []
    found = []
    at = every_s / 2
    while at < seconds:
        if not deck:
            deck = [what for what, (times, _, _) in TABLE.items() if what not in spared for _ in range(times)]
            chance.shuffle(deck)
        what = deck.pop()
        least, most = TABLE[what][1]
        how = Severity(chance.uniform(2e4, 2e5), chance.uniform(5.0, 25.0), chance.uniform(0.05, 0.3))
        late = chance.uniform(0.0, _LATEST_S)
        found.append(Draw(at + late, what, chance.choice(hosts), chance.uniform(least, most), how))
        at += every_s
    return found


def befall(scene: Scene, draws: list[Draw], say: Callable[[Done], None]) -> None:
    """All of them in their turn, until `Scene.over`."""
    began = time.monotonic()
    for draw in draws:
        if scene.over.wait(max(0.0, began + draw.at - time.monotonic())):
            return
        t = time.time()
        try:
            text = TABLE[draw.what][2](scene, draw)
        except (OrchError, OSError, subprocess.SubprocessError) as e:
            text = f"not done: {e}"
        say(Done(t, draw, text))


def all_well(lab: str) -> None:
    """Whatever a fault has left behind is undone."""
    for host in labs.load(lab).hosts:
        if not host.alive:
            faults.befall(lab, "revive", host.name)
        faults.befall(lab, "thaw", host.name)
        faults.befall(lab, "heal", host.name)
