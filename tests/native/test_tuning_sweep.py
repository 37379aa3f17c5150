"""The sweep tool: it picks the best settings, says what it measured, and runs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NATIVE = Path(__file__).parents[2] / "native"
SCRIPT = NATIVE / "tools" / "tuning_sweep.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tuning_sweep", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tuning_sweep"] = module
    spec.loader.exec_module(module)
    return module


def test_a_product_has_every_combination(tool: ModuleType) -> None:
    points = tool.product(cache=(0, 64), victim=("last",))
    assert points == [(("cache", "0"), ("victim", "last")), (("cache", "64"), ("victim", "last"))]


def test_the_best_single_setting_has_the_least_sum_in_each_class(tool: ModuleType) -> None:
    none, some = (("cache", "0"),), (("cache", "64"),)
    short, long = (("quantum_us", "30"),), (("quantum_us", "3000"),)
    grids = {
        "checks": {"hot": {none: 0.5, some: 0.4}, "scattered": {none: 0.5, some: 1.0}},
        "runs": {"service": {short: 0.4, long: 1.0}, "compute": {short: 3.0, long: 1.0}},
    }
    assert tool.best_single(grids) == (("cache", "0"), ("quantum_us", "3000"))


def test_an_interval_holds_its_median_and_is_the_same_each_time(tool: ModuleType) -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.97, 1.3]
    found = tool.interval(values)
    assert found == tool.interval(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert tool.interval([2.0, 1.0]) == tool.Interval(1.5, 1.0, 2.0, 2)


def test_the_verdict_is_met_up_to_three_percent(tool: ModuleType) -> None:
    def judged(ratio: float) -> str:
        level = tool.Interval(ratio, ratio, ratio, 1)
        return str(tool.verdict(tool.Workload("hot", {}, [], 1, 1, 1, level, level, level)))

    assert judged(1.03) == "met"
    assert judged(1.05) == "5.0 % behind"


def test_every_workload_of_the_bench_is_in_one_class(tool: ModuleType) -> None:
    text = (NATIVE / "harness" / "bench_tuned_mix.c").read_text()
    line = next(line for line in text.splitlines() if "phase_names[] = {" in line)
    named = [part.strip().strip('"') for part in line.split("{")[1].split("}")[0].split(",")]
    assert sorted(tool.WORKLOADS) == sorted(name for name in named if name not in ("mix", "NULL"))


def sweep(harness: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), str(harness), *more], capture_output=True, text=True)


@pytest.mark.native
def test_a_smoke_run_has_all_workloads_and_the_mix(built: Mapping[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "sweep.json"
    done = sweep(built["release"], "--mode", "smoke", "--json", str(out))
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(out.read_text())
    assert [w["name"] for w in report["workloads"]] == [
        "hot",
        "scattered",
        "far",
        "near",
        "small",
        "steal",
        "service",
        "compute",
    ]
    assert all(w["tuned_ns"] > 0 and w["tuned_over_best"]["median"] > 0 for w in report["workloads"])
    assert "Best single fixed setting: cache=0" in done.stdout


@pytest.mark.native
def test_a_launch_that_fails_ends_the_sweep_with_one_line(built: Mapping[str, Path]) -> None:
    done = sweep(built["release"], "--mode", "smoke", "--ids", "1")
    assert done.returncode == 1
    assert "ids" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_program_is_wrong_usage(tmp_path: Path) -> None:
    done = sweep(tmp_path / "nothing")
    assert (done.returncode, done.stdout) == (2, "")
