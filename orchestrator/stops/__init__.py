"""When a job has had enough: one file per stop condition, one line here.

Pure: fed the entries of the hosts' journals one at a time, in the order in which each host wrote them.
`launches.LaunchPolicy` is their relative for one step: when it has been launched often enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.stops.confidence import Confidence
from orchestrator.stops.deadline import Deadline
from orchestrator.stops.decision import Decision, Stop
from orchestrator.stops.disk import Disk
from orchestrator.stops.duration import Duration
from orchestrator.stops.failed_hosts import FailedHosts
from orchestrator.stops.failures import Failures
from orchestrator.stops.launches import LaunchPolicy
from orchestrator.stops.operations import Operations
from orchestrator.stops.thermal import Thermal
from orchestrator.stops.unhealthy import Unhealthy
from orchestrator.stops.violations import Violations

__all__ = ["ARGUMENTS", "STOPS", "Decision", "LaunchPolicy", "Stop"]

#: name in a job's `stop` → the condition, made from its argument
STOPS: dict[str, type[Stop]] = {
    "confidence": Confidence,
    "deadline": Deadline,
    "disk": Disk,
    "duration": Duration,
    "failed_hosts": FailedHosts,
    "failures": Failures,
    "operations": Operations,
    "thermal": Thermal,
    "unhealthy": Unhealthy,
    "violations": Violations,
}

#: name → what makes the argument of a playbook plain; raises ValueError
ARGUMENTS: dict[str, Callable[[Any], Any]] = {name: stop.argument for name, stop in STOPS.items()}
