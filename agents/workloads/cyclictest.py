"""cyclictest (Debian: rt-tests): how late threads of real-time priority are woken, as histograms of the launch."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from agents import hdr
from agents.wire import Order
from agents.workloads.setting import BadSetting, Setting, Tool, adapted, result, went_wrong

SUMMARY = "cyclictest of the host: how late timers wake its threads, as a histogram"
PACKAGE = "rt-tests"
PATIENCE_S: Optional[float] = 10.0


def _between(name: str, least: int, most: int) -> Any:
    def check(value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadSetting("%s: expected a whole number from %d to %d" % (name, least, most))

    return check


_CHECKS = {
    "interval": _between("interval", 10, 1_000_000),
    "priority": _between("priority", 0, 99),
    "histogram": _between("histogram", 10, 1_000_000),
    "limit": _between("limit", 1, 1_000_000_000),
}
SETTINGS = {
    "seconds": Setting("float", "how long, in seconds; `measure.seconds` says the same with a unit"),
    "interval": Setting(
        "int", "µs between two wake-ups of the first thread", 1000, check=_CHECKS["interval"]
    ),
    "priority": Setting(
        "int", "SCHED_FIFO, 1 to 99; 0: no real-time priority", 80, check=_CHECKS["priority"]
    ),
    "histogram": Setting(
        "int", "µs up to which latencies are told apart", 10_000, check=_CHECKS["histogram"]
    ),
    "limit": Setting("int", "µs; a latency above it is a violation", check=_CHECKS["limit"]),
    "patience": Setting("float", "seconds that it may take to end before it is killed", PATIENCE_S),
}
FREE_SETTINGS = False
EXPECTS_RECORDS = True
NEEDS_PROGRAM = False

_JSON, _LISTING = "cyclictest.json", "cyclictest.histogram"
#: microseconds
_UNIT = "us"


def argv(order: Order) -> List[str]:
    asked = {name: order.settings.get(name, SETTINGS[name].default) for name in _CHECKS}
    for name, check in _CHECKS.items():
        if asked[name] is not None:
            check(asked[name])
    line = ["cyclictest", "--quiet", "--mlockall", "--json=" + _JSON, "--histfile=" + _LISTING]
    line += ["--duration=%d" % max(1, round(order.seconds)), "--threads=%d" % max(1, order.threads)]
    line += ["--interval=%d" % asked["interval"], "--histogram=%d" % asked["histogram"]]
    line.append("--priority=%d" % asked["priority"] if asked["priority"] else "--policy=other")
    if order.cpus:
        line.append("--affinity=" + ",".join(str(c) for c in order.cpus))
    return adapted(order, line)


class _Translator:
    def __init__(self, order: Order) -> None:
        limit = order.settings.get("limit")
        self.limit = limit if isinstance(limit, int) else None
        self.contracts = [] if self.limit is None else ["latency"]

    def hear(self, text: str, t: float) -> List[Dict[str, Any]]:  # noqa: ARG002 - its results are a file
        return []

    def end(self, tool: Tool) -> List[Dict[str, Any]]:
        said: Any = None
        with contextlib.suppress(OSError, ValueError):
            said = json.loads(Path(_JSON).read_text())
        threads = _threads(said)
        wrong = went_wrong(tool)
        if wrong is None and not threads and not tool.stopped:
            wrong = "left no results in its JSON"
        if wrong:
            return [result("error", tool.seconds, 0, [], message="cyclictest " + wrong)]
        counts, worst, cycles, mean = _together(threads)
        if not cycles:
            return [result("stopped", tool.seconds, 0, [])]
        histogram = {
            "type": "histogram",
            "metric": "latency",
            "unit": _UNIT,
            "phase": "measure",
            "encoding": "hdr-v2-base64",
            "data": hdr.encode(counts),
        }
        metrics = [
            ("ops_per_second", cycles / max(tool.seconds, 1e-9), "1/s"),
            ("latency_max", float(worst), _UNIT),
            ("latency_mean", mean, _UNIT),
        ]
        if self.limit is not None and worst > self.limit:
            evidence = "woken %d us late, at most %d us were allowed" % (worst, self.limit)
            violation = {
                "type": "violation",
                "contract": "latency",
                "evidence": evidence,
                "t": round(tool.seconds, 6),
                "thread": 0,
            }
            over = max(1, sum(n for late, n in counts.items() if late > self.limit))
            return [histogram, violation, result("violated", tool.seconds, cycles, metrics, violations=over)]
        return [histogram, result("stopped" if tool.stopped else "ok", tool.seconds, cycles, metrics)]


def translator(order: Order) -> _Translator:
    return _Translator(order)


def _threads(said: Any) -> List[Dict[str, Any]]:
    threads = said.get("thread") if isinstance(said, dict) else None
    return [t for t in threads.values() if isinstance(t, dict)] if isinstance(threads, dict) else []


def _together(threads: List[Dict[str, Any]]) -> "Tuple[Dict[int, int], int, int, float]":
    """Latency → how often, the largest, cycles, mean; of all threads. What lies beyond the histogram is only counted by the
    program: it is taken to be as late as the latest."""
    counts: Dict[int, int] = {}
    worst = cycles = 0
    weighted = 0.0
    for thread in threads:
        own = {int(late): int(n) for late, n in (thread.get("histogram") or {}).items()}
        made, top = int(thread.get("cycles", 0)), int(thread.get("max", 0))
        beyond = made - sum(own.values())
        if beyond > 0:
            own[top] = own.get(top, 0) + beyond
        for late, n in own.items():
            counts[late] = counts.get(late, 0) + n
        worst, cycles = max(worst, top), cycles + made
        weighted += float(thread.get("avg", 0.0)) * made
    return counts, worst, cycles, weighted / cycles if cycles else 0.0
