"""Any program of the host, run as it is. It learns what was planned from ORCH_… variables, and may
print records (docs/reference/harness-protocol.md) if it wants to; where `metrics` or `exits` are given,
its figures are taken from what it prints for people."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, List, Optional, Tuple

from agents.wire import Order
from agents.workloads.setting import BadSetting, Setting, Tool, adapted, result, went_wrong

SUMMARY = "any program of the host, run as it is; its exit status decides"
PACKAGE = ""
#: its limits alone end it
PATIENCE_S: Optional[float] = None

#: Which of several values of a launch is its result.
_TAKES = ("last", "max", "min", "mean", "sum")


def _check_metrics(value: Any) -> None:
    for name, said in value.items():
        if not isinstance(name, str) or not re.match(r"[A-Za-z][A-Za-z0-9_.-]*\Z", name):
            raise BadSetting("metrics: %r cannot be the name of a metric" % (name,))
        _source("metrics: " + name, said)


def _check_exits(value: Any) -> None:
    if not value or not all(isinstance(x, int) and not isinstance(x, bool) and 0 <= x <= 255 for x in value):
        raise BadSetting("exits: expected a list of exit statuses, such as [0, 2]")


SETTINGS = {
    "argv": Setting("list", "program and arguments, one text each; no shell is involved", required=True),
    "shell": Setting("bool", "join the texts with blanks and give them to /bin/sh -c", default=False),
    "metrics": Setting(
        "map",
        "metric → where its value stands in a line: {regex: 'rate=(\\S+)', unit: 1/s}, or {json: latency.p99, unit: us} of a "
        "line that is a JSON object; with `take`: last, max, min, mean or sum of a launch. A text alone is a regex",
        check=_check_metrics,
    ),
    "exits": Setting("list", "exit statuses that are no failure; [0]", check=_check_exits),
}
FREE_SETTINGS = False
EXPECTS_RECORDS = False
NEEDS_PROGRAM = False


def argv(order: Order) -> List[str]:
    words = order.settings.get("argv")
    if not isinstance(words, list) or not words or not isinstance(words[0], str) or not words[0]:
        raise BadSetting("argv: expected a list of texts that begins with a program")
    if not all(isinstance(w, (str, int, float)) and not isinstance(w, bool) for w in words):
        raise BadSetting("argv: expected texts only")
    if any("\0" in str(w) for w in words):
        raise BadSetting("argv: a text holds a NUL character")
    line = [str(w) for w in words]
    if order.settings.get("shell"):
        line = ["/bin/sh", "-c", " ".join(line)]
    metrics, exits = order.settings.get("metrics"), order.settings.get("exits")
    if metrics is None and exits is None:
        return line
    _check_metrics(metrics or {})
    _check_exits([0] if exits is None else exits)
    return adapted(order, line)


class _Source:
    """Where one metric stands: in a group of a regex, or under a path of a JSON object."""

    def __init__(self, regex: "Optional[re.Pattern[str]]", path: List[str], unit: str, take: str) -> None:
        self.regex = regex
        self.path = path
        self.unit = unit
        self.take = take

    def find(self, text: str, value: Any) -> Optional[float]:
        """``value``: the line as JSON, None where it is none."""
        if self.regex is not None:
            found = self.regex.search(text)
            return _number(found.group(1)) if found else None
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None
        return _number(value)


def _source(where: str, said: Any) -> _Source:
    """Raises BadSetting."""
    said = {"regex": said} if isinstance(said, str) else said
    if not isinstance(said, dict) or set(said) - {"regex", "json", "unit", "take"}:
        raise BadSetting("%s: expected regex or json, with unit and take" % where)
    if ("regex" in said) == ("json" in said) or not all(isinstance(v, str) for v in said.values()):
        raise BadSetting("%s: expected a text under one of regex and json" % where)
    if said.get("take", "last") not in _TAKES:
        raise BadSetting("%s: take is one of %s" % (where, ", ".join(_TAKES)))
    regex = None
    if "regex" in said:
        try:
            regex = re.compile(said["regex"])
        except re.error as e:
            raise BadSetting("%s: not a regular expression: %s" % (where, e)) from e
        if regex.groups < 1:
            raise BadSetting("%s: no group ( ) says which part is the value" % where)
    return _Source(regex, said.get("json", "").split("."), said.get("unit", ""), said.get("take", "last"))


def _number(value: Any) -> Optional[float]:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


class _Translator:
    def __init__(self, order: Order) -> None:
        self.contracts: List[str] = []
        said = order.settings.get("metrics") or {}
        self.sources = {name: _source(name, one) for name, one in said.items()}
        self.exits = tuple(order.settings.get("exits") or [0])
        #: metric → (how many, last, largest, smallest, sum)
        self.values: Dict[str, Tuple[int, float, float, float, float]] = {}
        self.before = 0.0

    def hear(self, text: str, t: float) -> List[Dict[str, Any]]:
        value = None
        if text.lstrip()[:1] == "{" and any(s.regex is None for s in self.sources.values()):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                value = None
        found = {}
        for name, source in self.sources.items():
            number = source.find(text, value)
            if number is not None:
                found[name] = number
                n, _, top, low, total = self.values.get(name, (0, 0.0, number, number, 0.0))
                self.values[name] = (n + 1, number, max(top, number), min(low, number), total + number)
        if not found:
            return []
        before, self.before = self.before, t
        return [
            {"type": "interval", "phase": "measure", "t": t, "dt": round(t - before, 6), "metrics": found}
        ]

    def end(self, tool: Tool) -> List[Dict[str, Any]]:
        metrics = [
            (name, self._taken(name), self.sources[name].unit) for name in self.sources if name in self.values
        ]
        wrong = went_wrong(tool, self.exits)
        missing = [name for name in self.sources if name not in self.values]
        if wrong is None and missing and not tool.stopped:
            wrong = "gave no value of %s: no line of its output has one" % ", ".join(missing)
        if wrong:
            return [result("error", tool.seconds, 1, metrics, message=wrong)]
        return [result("stopped" if tool.stopped else "ok", tool.seconds, 1, metrics)]

    def _taken(self, name: str) -> float:
        count, last, top, low, total = self.values[name]
        by_name = {"last": last, "max": top, "min": low, "mean": total / count, "sum": total}
        return by_name[self.sources[name].take]


def translator(order: Order) -> _Translator:
    return _Translator(order)
