"""Schedules and stress find every fault that is planted on purpose; a detector that cannot fail proves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NATIVE = Path(__file__).parents[2] / "native"
SCRIPT = NATIVE / "tools" / "check_mutants.py"


def judged(*words: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(SCRIPT), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode in {0, 1}, done.stderr
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    return verdicts


@pytest.mark.native
def test_every_planted_fault_is_found_in_the_same_schedule_every_time() -> None:
    verdicts = judged()
    assert {v["name"] for v in verdicts} == {p.stem for p in (NATIVE / "mutants").glob("*.patch")}
    assert {v["detector"] for v in verdicts} == {"test_schedules"}
    assert all(v["killed"] and "seed" in v["report"] for v in verdicts)


@pytest.mark.native
def test_the_stress_test_finds_planted_faults_on_real_cpus_too() -> None:
    (verdict,) = judged("--stress", "--only", "check_without_generation")
    assert verdict["detector"] == "test_stress"


def test_every_planted_fault_says_what_it_breaks() -> None:
    patches = sorted((NATIVE / "mutants").glob("*.patch"))
    assert len(patches) >= 3
    broken = {patch.read_text().split("\n", 1)[0] for patch in patches}
    assert broken <= {f"Breaks: C{n}" for n in range(1, 6)}
    assert {"Breaks: C1", "Breaks: C2", "Breaks: C3"} <= broken
