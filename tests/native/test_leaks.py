"""No test program loses memory, or reads what it must not, as valgrind sees it: what the sanitizers cannot see in assembly and in the C library."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from preset_builds import up_to_date

pytestmark = [pytest.mark.native, pytest.mark.timeout(3000)]
NATIVE = Path(__file__).parents[2] / "native"
FOUND = 99
VALGRIND = [
    "valgrind",
    "--quiet",
    "--leak-check=full",
    "--show-leak-kinds=all",
    "--errors-for-leak-kinds=all",
    f"--error-exitcode={FOUND}",
    "--fair-sched=yes",  # one thread runs at a time: a waiting one must not keep the others from running
]
#: Words for those that would run for a time of their own.
WORDS = {"test_stress": ["1", "2", "1"]}


def programs() -> dict[str, list[str]]:
    """Name → command of every test of the release build, which is brought up to date first."""
    up_to_date("release")
    shown = subprocess.run(
        ["ctest", "--preset", "release", "--show-only=json-v1"],
        cwd=NATIVE,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # The explorer changes stacks behind valgrind's back, and looks for leaks itself.
    tests = [test for test in json.loads(shown)["tests"] if not test["name"].startswith("test_explore_")]
    return {test["name"]: test["command"] for test in tests}


def look(name: str, command: list[str]) -> str:
    """What valgrind says of one program; empty where it is content."""
    done = subprocess.run(
        [*VALGRIND, *command, *WORDS.get(name, [])], capture_output=True, text=True, timeout=800
    )
    return "" if done.returncode == 0 else f"{name}: exit status {done.returncode}\n{done.stderr}"


def look_at_all(chosen: dict[str, list[str]]) -> list[str]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = pool.map(lambda item: look(*item), chosen.items())
        return [words for words in said if words]


def test_no_test_program_leaks() -> None:
    chosen = programs()
    assert "test_reclaim" in chosen
    assert look_at_all(chosen) == []
