"""A benchmark of the native harness (docs/reference/harness-protocol.md)."""

from __future__ import annotations

from typing import Any, List

from agents.wire import Order
from agents.workloads.setting import BadSetting, Setting

SUMMARY = "a benchmark of the native harness, pinned, with oracles"

SETTINGS = {
    "bench": Setting("str", "name of the benchmark, as `orch bundle list` shows it", required=True),
}
FREE_SETTINGS = True
EXPECTS_RECORDS = True
NEEDS_PROGRAM = True


def argv(order: Order) -> List[str]:
    bench = order.settings.get("bench")
    if not isinstance(bench, str) or not bench:
        raise BadSetting("bench: missing")
    if not order.program:
        raise BadSetting("program: the order names no harness")
    line = [order.program, "run", bench, "--threads", str(order.threads)]
    if order.cpus:
        line += ["--cpus", ",".join(str(c) for c in order.cpus)]
    line += ["--mem", order.mem, "--seconds", repr(order.seconds), "--warmup", repr(order.warmup_s)]
    line += ["--seed", str(order.seed), "--interval", repr(order.interval_s)]
    for name in sorted(order.settings):
        if name not in SETTINGS:
            line += ["--set", "%s=%s" % (name, _text(name, order.settings[name]))]
    return line


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (str, int)):
        return str(value)
    raise BadSetting("%s: the harness takes text and numbers, not %s" % (name, type(value).__name__))
