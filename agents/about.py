"""What a launch is told of itself, in its environment, and its journal in the first entry."""

from __future__ import annotations

import os
from typing import Any, Dict, List

from agents.launch import MARK, Launch
from agents.wire import PROTOCOL, Order


def environment(launch: Launch, order: Order) -> Dict[str, str]:
    return {
        **os.environ,
        **order.env,
        "ORCH_RUN": order.run,
        "ORCH_HOST": order.host,
        "ORCH_JOB": order.job,
        "ORCH_STEP": order.step,
        "ORCH_LAUNCH": str(order.launch),
        "ORCH_PROGRAM": order.program,
        "ORCH_THREADS": str(order.threads),
        "ORCH_CPUS": ",".join(str(c) for c in order.cpus),
        "ORCH_MEM": order.mem,
        "ORCH_WARMUP": repr(order.warmup_s),
        "ORCH_SECONDS": repr(order.seconds),
        "ORCH_INTERVAL": repr(order.interval_s),
        "ORCH_SEED": str(order.seed),
        MARK: str(launch.folder),
    }


def started(order: Order, argv: List[str], pid: int, held: str) -> Dict[str, Any]:
    """``pid``: 0 where it could not be started; ``held``: how all that it starts is kept together."""
    return {
        "run": order.run,
        "host": order.host,
        "job": order.job,
        "step": order.step,
        "launch": order.launch,
        "workload": order.workload,
        "argv": argv,
        "pid": pid,
        "protocol": PROTOCOL,
        "seed": order.seed,
        "cpus": order.cpus,
        "mem": order.mem,
        "held": held,
    }
