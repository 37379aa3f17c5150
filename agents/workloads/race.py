"""One step of a search for races: a scenario of the explorer, or a bench under a detector that runs on real cores.

The controller plans the steps from what the playbook says (docs/native/race.md); what is left for a host is a
program of the harness protocol and its settings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import List

from agents.wire import Order
from agents.workloads import native
from agents.workloads.setting import Setting

SUMMARY = "a search for races in the native code: explorer, sanitizers and stress, within a budget of time"

SETTINGS = {
    "subjects": Setting("names", "structures to look at, e.g. [deque, reclaim]; all of them", default="all"),
    "budget": Setting("str", "wall-clock time on each host, for all steps together", default="10m"),
    "detectors": Setting(
        "names",
        "explore, tsan, asan, noise, stutter, poison, plain, linearizability; all of them",
        default="all",
    ),
    "strategies": Setting("names", "how the explorer picks schedules, a step for each", default="rotate"),
    "placements": Setting(
        "names", "where the threads of stress steps go, a step for each", default="compact"
    ),
}
FREE_SETTINGS = False
EXPECTS_RECORDS = True
NEEDS_PROGRAM = True


def argv(order: Order) -> List[str]:
    """Of a planned step: its settings are those of the bench or scenario, and no longer those of the job; `stutter`, in
    milliseconds, is an option of the program."""
    bench = {name: value for name, value in order.settings.items() if name != "stutter"}
    line = native.argv(replace(order, settings=bench))
    if "stutter" in order.settings:
        line += ["--stutter", repr(float(order.settings["stutter"]))]
    return line
