"""What is sampled on the host while a launch runs. Told in docs/reference/vitals.md.

A sampler takes the Source and returns name → value; a source that the host does not have is left out.
Rates are over the time since the sample before, so the first sample holds only what is a level.
Everything here is a handful of small reads from /proc and /sys; `vitals_cost` says what they took.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

#: Not more sensors than this are read in one sample.
_MOST_SENSORS = 32
_MOST_CPUS = 16
_MOST_THREADS = 256

_TICKS = os.sysconf("SC_CLK_TCK")


class Source:
    """Where samplers read, and what they read the last time."""

    def __init__(self, pid: int, cpus: Sequence[int], root: str = "/") -> None:
        self.pid = pid
        #: measured CPUs; empty means all
        self.cpus = tuple(cpus)
        self.root = root.rstrip("/")
        #: resident bytes of the process tree, set by whoever watches its limit anyway
        self.rss: Optional[int] = None
        self.now = 0.0
        self._before: Dict[str, Tuple[float, float]] = {}
        self._sensors: Optional[List[str]] = None

    def text(self, path: str) -> str:
        """ "" where it cannot be read."""
        try:
            fd = os.open(self.root + path, os.O_RDONLY)
        except OSError:
            return ""
        try:
            return os.read(fd, 65536).decode("utf-8", "replace")
        except OSError:
            return ""
        finally:
            os.close(fd)

    def rate(self, name: str, total: float) -> Dict[str, float]:
        """``{name: growth per second}``; {} the first time, and where a counter went backwards."""
        before = self._before.get(name)
        self._before[name] = (self.now, total)
        if before is None or self.now <= before[0] or total < before[1]:
            return {}
        return {name: (total - before[1]) / (self.now - before[0])}

    def sensors(self) -> List[str]:
        """Temperature files, found once."""
        if self._sensors is None:
            self._sensors = list(_sensors(self.root))[:_MOST_SENSORS]
        return self._sensors


def _sensors(root: str) -> Iterator[str]:
    for folder, prefix, suffix in (
        ("/sys/class/hwmon", "temp", "_input"),
        ("/sys/class/thermal", "temp", ""),
    ):
        with contextlib.suppress(OSError):
            for device in sorted(os.listdir(root + folder)):  # noqa: PTH208 - paths stay relative to root
                path = "%s/%s" % (folder, device)
                names = sorted(os.listdir(root + path))  # noqa: PTH208 - as above
                yield from ("%s/%s" % (path, n) for n in names if n.startswith(prefix) and n.endswith(suffix))


def psi(source: Source) -> Dict[str, float]:
    """Pressure stall information: share of the time in which some (all) tasks waited."""
    found: Dict[str, float] = {}
    for resource in ("cpu", "memory", "io"):
        for line in source.text("/proc/pressure/" + resource).splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "full" and resource == "cpu":
                continue  # always 0 for the whole system
            total = rest.rpartition("total=")[2]
            if total.isdigit():
                # microseconds stalled per second, in per cent
                rate = source.rate("psi_%s_%s" % (resource, kind), float(total) / 1e4)
                found.update(rate)
    return found


def frequency(source: Source) -> Dict[str, float]:
    """Of the measured CPUs, as the frequency driver tells it, in Hz."""
    cpus = source.cpus or tuple(sorted(os.sched_getaffinity(0)))
    values = []
    for cpu in cpus[:_MOST_CPUS]:
        text = source.text("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq" % cpu).strip()
        if text.isdigit():
            values.append(int(text) * 1e3)
    if not values:
        return {}
    return {"cpu_frequency_min": min(values), "cpu_frequency_mean": sum(values) / len(values)}


def temperature(source: Source) -> Dict[str, float]:
    """The hottest sensor."""
    values = []
    for path in source.sensors():
        with contextlib.suppress(ValueError):
            values.append(int(source.text(path)) / 1e3)
    # a sensor that is not connected tells 0, -128 or 255 degrees
    values = [v for v in values if 0 < v < 150]
    return {"temperature_max": max(values)} if values else {}


def rss(source: Source) -> Dict[str, float]:
    """Resident memory of the workload's process tree."""
    return {} if source.rss is None else {"rss": float(source.rss)}


def switches(source: Source) -> Dict[str, float]:
    """Context switches: of the host, and those that took a CPU from the workload's threads."""
    found: Dict[str, float] = {}
    text = source.text("/proc/stat")
    at = text.find("\nctxt ")
    if at >= 0:
        found.update(source.rate("context_switches", float(text[at + 6 :].split("\n", 1)[0])))
    total = 0
    with contextlib.suppress(OSError):
        threads = os.listdir("%s/proc/%d/task" % (source.root, source.pid))  # noqa: PTH208 - numbers, not paths
        for thread in threads[:_MOST_THREADS]:
            status = source.text("/proc/%d/task/%s/status" % (source.pid, thread))
            number = status.rpartition("nonvoluntary_ctxt_switches:")[2].strip()
            total += int(number) if number.isdigit() else 0
        found.update(source.rate("involuntary_switches", float(total)))
    return found


def cpu_time(source: Source) -> Dict[str, float]:
    """Of the measured CPUs: how busy they were, and what the hypervisor took from them."""
    wanted = {"cpu%d" % c for c in source.cpus} or {"cpu"}
    busy = steal = seen = 0
    for line in source.text("/proc/stat").splitlines():
        fields = line.split()
        if not fields or not fields[0].startswith("cpu"):
            break
        if fields[0] in wanted and len(fields) > 8:
            # user nice system idle iowait irq softirq steal
            numbers = [int(x) for x in fields[1:9]]
            busy += sum(numbers) - numbers[3] - numbers[4] - numbers[7]
            steal += numbers[7]
            seen += 1
    if not seen:
        return {}
    count = len(source.cpus) or os.cpu_count() or 1
    per = 100.0 / _TICKS / count
    return {**source.rate("cpu_busy", busy * per), **source.rate("steal", steal * per)}


def disk(source: Source) -> Dict[str, float]:
    """Room left where the launch lies, for a process without privilege."""
    with contextlib.suppress(OSError):
        found = os.statvfs("%s/proc/%d/cwd" % (source.root, source.pid))
        return {"disk_free": float(found.f_bavail * found.f_frsize)}
    return {}


def load(source: Source) -> Dict[str, float]:
    """Load average of one minute."""
    first = source.text("/proc/loadavg").partition(" ")[0]
    with contextlib.suppress(ValueError):
        return {"load_1m": float(first)}
    return {}


#: Name of a sampler → the sampler. To add one: a line here, its units in `wire`, a line in the reference.
SAMPLERS: Dict[str, Callable[[Source], Dict[str, float]]] = {
    "psi": psi,
    "frequency": frequency,
    "temperature": temperature,
    "rss": rss,
    "switches": switches,
    "cpu_time": cpu_time,
    "load": load,
    "disk": disk,
}


def sample(source: Source) -> Dict[str, float]:
    """One sampling, all samplers; ``vitals_cost`` is the time that it took."""
    source.now = begin = time.monotonic()
    found: Dict[str, float] = {}
    for sampler in SAMPLERS.values():
        found.update(sampler(source))
    found = {name: round(value, 3) for name, value in found.items()}
    found["vitals_cost"] = round(time.monotonic() - begin, 6)
    return found
