"""An order as a host gets it, for tests that need one and run none."""

from __future__ import annotations

from agents.wire import Limits, Order

ORDER = Order(
    protocol=1,
    run="r",
    host="h",
    job="j",
    step="s",
    launch=0,
    workload="native",
    settings={"bench": "capability_check"},
    program="/blobs/abc",
    threads=2,
    cpus=[3, 1],
    mem="node:1",
    warmup_s=1.0,
    seconds=2.5,
    interval_s=0.5,
    seed=18446744073709551615,
    limits=Limits(10.0),
)
