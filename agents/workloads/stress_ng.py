"""stress-ng (Debian: stress-ng): load of a chosen kind, whose work is checked by the program itself.

Its metrics are read from the YAML that it writes. It can outlive its time: then all of it is killed.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from agents.wire import Order
from agents.workloads.setting import (
    BadSetting,
    Setting,
    Tool,
    adapted,
    result,
    went_wrong,
)

SUMMARY = "stress-ng of the host: its stressors, their bogo operations, and the faults that it finds itself"
PACKAGE = "stress-ng"
PATIENCE_S: Optional[float] = 10.0

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")


def _check_stressors(value: Any) -> None:
    if not value:
        raise BadSetting("stressors: at least one, such as {cpu: 0}")
    for name, count in value.items():
        if not isinstance(name, str) or not _NAME.match(name):
            raise BadSetting("stressors: %r is not a name of stress-ng's" % (name,))
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise BadSetting("stressors: %s: expected how many processes, 0 for one on each CPU" % name)


def _check_options(value: Any) -> None:
    if not all(isinstance(x, (str, int, float)) and not isinstance(x, bool) for x in value):
        raise BadSetting("options: expected a list of texts")


SETTINGS = {
    "stressors": Setting(
        "map",
        "name → number of processes, such as {cpu: 0, vm: 2}; 0: one on each CPU",
        required=True,
        check=_check_stressors,
    ),
    "seconds": Setting("float", "how long, in seconds; `measure.seconds` says the same with a unit"),
    "verify": Setting("bool", "the stressors check what they compute; what is wrong is a violation", True),
    "options": Setting(
        "list", "further options, one text each, such as [--vm-bytes, 64M]", check=_check_options
    ),
    "pinned": Setting("bool", "on the CPUs of the step alone, by its `threads` and `placement`", False),
    "patience": Setting("float", "seconds that it may take to end before it is killed", PATIENCE_S),
}
FREE_SETTINGS = False
EXPECTS_RECORDS = True
NEEDS_PROGRAM = False

_YAML = "stress-ng.yaml"
#: Exit statuses that its manual gives a meaning.
_MEANS = {
    3: "lacks resources on this host",
    4: "does not have that stressor on this host",
    7: "says that its own metrics cannot be trusted",
}
_SAID = re.compile(r"stress-ng: (\w+):\s+\[\d+\] (.*)")
_FIELD = re.compile(r"\s+([a-z0-9-]+):\s+([-+0-9.e]+)\s*\Z")


def argv(order: Order) -> List[str]:
    stressors, options = order.settings.get("stressors"), order.settings.get("options") or []
    if not isinstance(stressors, dict) or not isinstance(options, list):
        raise BadSetting("stressors: missing" if not stressors else "stressors, options: of a wrong type")
    _check_stressors(stressors)
    _check_options(options)
    line = ["stress-ng"]
    for name, count in stressors.items():
        line += ["--" + name, str(count)]
    line += [
        "--timeout",
        "%ds" % max(1, round(order.seconds)),
        "--metrics",
        "--yaml",
        _YAML,
        "--temp-path",
        ".",
    ]
    line += ["--seed", str(order.seed)]
    if order.cpus and order.settings.get("pinned"):
        line += ["--taskset", ",".join(str(c) for c in order.cpus)]
    if order.settings.get("verify", True):
        line.append("--verify")
    return adapted(order, line + [str(x) for x in options])


class _Translator:
    def __init__(self, order: Order) -> None:
        self.contracts = ["verify"] if order.settings.get("verify", True) else []
        self.failures = 0
        self.complaint = ""

    def hear(self, text: str, t: float) -> List[Dict[str, Any]]:
        found = _SAID.match(text)
        if found is None:
            if text.startswith("stress-ng: "):  # what it does not understand of its command line
                self.complaint = self.complaint or text[len("stress-ng: ") :]
            return []
        if found.group(1) == "error":
            self.complaint = found.group(2)
        if found.group(1) != "fail" or not self.contracts:
            return []
        self.failures += 1
        if self.failures > 16:
            return []
        return [{"type": "violation", "contract": "verify", "evidence": found.group(2), "t": t, "thread": 0}]

    def end(self, tool: Tool) -> List[Dict[str, Any]]:
        text = ""
        with contextlib.suppress(OSError):
            text = Path(_YAML).read_text(errors="replace")
        ops, metrics = _metrics(text)
        if self.contracts and (self.failures or tool.status == 2):
            count = max(1, self.failures)
            return [result("violated", tool.seconds, ops, metrics, violations=count)]
        wrong = went_wrong(tool, said=self.complaint)
        if wrong and tool.status in _MEANS:
            wrong = "%s: %s" % (_MEANS[tool.status], self.complaint or "exit status %d" % tool.status)
        if wrong is None and not metrics and not tool.stopped:
            wrong = "left no metrics in its YAML"
        if wrong:
            return [result("error", tool.seconds, 0, [], message="stress-ng " + wrong)]
        return [result("stopped" if tool.stopped else "ok", tool.seconds, ops, metrics)]


def translator(order: Order) -> _Translator:
    return _Translator(order)


def _metrics(text: str) -> "Tuple[float, List[Tuple[str, float, str]]]":
    """Operations of all stressors, and what its YAML says of each."""
    ops = rate = 0.0
    found: List[Tuple[str, float, str]] = []
    name = ""
    for line in text.splitlines():
        if "- stressor:" in line:
            name = line.partition("- stressor:")[2].strip().replace("-", "_")
            continue
        match = _FIELD.match(line)
        if not name or match is None:
            continue
        key, value = match.group(1), float(match.group(2))
        if key == "bogo-ops":
            ops += value
        elif key == "bogo-ops-per-second-real-time":
            rate += value
            found.append((name + "_bogo_ops_per_second", value, "1/s"))
        elif key == "bogo-ops-per-second-usr-sys-time":
            found.append((name + "_bogo_ops_per_cpu_second", value, "1/s"))
        elif key == "max-rss":
            found.append((name + "_max_rss", value * 1024, "B"))
    return ops, [("ops_per_second", rate, "1/s"), *found] if found else []
