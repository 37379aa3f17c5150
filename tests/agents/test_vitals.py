"""Samplers: what they tell on a known tree, that they may miss anything, and that each is documented."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from agents.vitals import SAMPLERS, Source, sample
from agents.wire import VITAL_UNITS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "vitals.md"


def plant(root: Path, files: dict[str, str]) -> None:
    for name, contents in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(contents)


def source_at(root: Path, cpus: list[int]) -> Source:
    return Source(42, cpus, str(root))


BEFORE = {
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0 avg60=0 avg300=0 total=0\n",
    "proc/pressure/io": "some avg10=0.00 total=0\nfull avg10=0.00 total=0\n",
    "proc/stat": "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 100 0 0 100 0 0 0 10 0 0\nctxt 1000\n",
    "proc/loadavg": "1.25 0.5 0.2 1/9 9\n",
    "proc/42/task/42/status": "voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t10\n",
    "proc/42/task/43/status": "voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t20\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "9000000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2500000\n",
    "sys/class/hwmon/hwmon0/temp1_input": "45500\n",
    "sys/class/hwmon/hwmon0/temp2_input": "61250\n",
    "sys/class/hwmon/hwmon0/temp3_input": "255000\n",
    "sys/class/thermal/thermal_zone0/temp": "nonsense\n",
}
TICKS = os.sysconf("SC_CLK_TCK")
AFTER = {
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull total=0\n",
    "proc/stat": f"cpu  0\ncpu0 0\ncpu1 {100 + TICKS} 0 0 100 0 0 0 {10 + TICKS // 2} 0 0\nctxt 3000\n",
    "proc/42/task/43/status": "nonvoluntary_ctxt_switches:\t24\n",
}


def test_rates_are_over_the_time_between_two_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, BEFORE)
    source = source_at(tmp_path, [1])
    source.rss = 4096
    clock = [100.0]
    monkeypatch.setattr("agents.vitals.time.monotonic", lambda: clock[0])
    levels = {
        "load_1m": 1.25,
        "rss": 4096.0,
        "temperature_max": 61.25,
        "cpu_frequency_min": 2.5e9,
        "cpu_frequency_mean": 2.5e9,
        "vitals_cost": 0.0,
    }
    assert sample(source) == levels
    plant(tmp_path, AFTER)
    clock[0] += 2.0
    assert sample(source) == {
        **levels,
        "psi_cpu_some": 25.0,
        "psi_io_some": 0.0,
        "psi_io_full": 0.0,
        "context_switches": 1000.0,
        "involuntary_switches": 2.0,
        "cpu_busy": 50.0,
        "steal": 25.0,
    }


def test_a_counter_that_went_backwards_gives_no_rate(tmp_path: Path) -> None:
    source = source_at(tmp_path, [])
    source.now = 1.0
    assert source.rate("x", 10) == {}
    source.now = 2.0
    assert source.rate("x", 5) == {}
    source.now = 3.0
    assert source.rate("x", 6) == {"x": 1.0}


def test_where_there_is_nothing_only_the_cost_is_told(tmp_path: Path) -> None:
    source = source_at(tmp_path, [0])
    assert list(sample(source)) == ["vitals_cost"]
    assert list(sample(source)) == ["vitals_cost"]


def test_every_value_has_a_unit(tmp_path: Path) -> None:
    plant(tmp_path, BEFORE)
    here, there = Source(os.getpid(), []), source_at(tmp_path, [0, 1])
    here.rss = 1
    names: set[str] = set()
    for source in (here, here, there, there):
        names |= set(sample(source))
    assert names <= set(VITAL_UNITS)


def test_the_reference_tells_of_every_value_with_its_unit_and_of_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", REFERENCE.read_text(), re.MULTILINE)
    assert dict(rows) == VITAL_UNITS
    assert len(rows) == len(VITAL_UNITS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_reference_names_every_sampler(name: str) -> None:
    assert f"`{name}`" in REFERENCE.read_text()
