"""The stress test finds every fault that is planted on purpose; a detector that cannot fail proves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
SCRIPT = NATIVE / "tools" / "check_mutants.py"


@pytest.mark.native
def test_the_stress_test_kills_every_planted_fault() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json"], capture_output=True, text=True, timeout=280
    )
    assert done.returncode in {0, 1}, done.stderr
    verdicts = json.loads(done.stdout)
    assert {v["name"] for v in verdicts} == {p.stem for p in (NATIVE / "mutants").glob("*.patch")}
    assert [v["name"] for v in verdicts if not v["killed"]] == []


def test_every_planted_fault_says_what_it_breaks() -> None:
    patches = sorted((NATIVE / "mutants").glob("*.patch"))
    assert len(patches) >= 3
    broken = {patch.read_text().split("\n", 1)[0] for patch in patches}
    assert broken <= {f"Breaks: C{n}" for n in range(1, 6)}
    assert {"Breaks: C1", "Breaks: C2", "Breaks: C3"} <= broken
