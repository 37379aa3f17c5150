"""The explorer finds programs that are wrong, and finds the same again from the seed that it names."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"
FAULTS = {
    "race": "race: plain read",
    "freed": "race: 0x|use after free",
    "asleep": "deadlock: thread 1 waits",
    "endless": "livelock",
    "leaking": "leak: ",
    "twice": "double free",
}


@pytest.fixture(scope="module")
def program() -> Path:
    jobs = str(os.cpu_count() or 1)
    build = ["cmake", "--build", "--preset", "release", "--parallel", jobs, "--target", "test_explore_litmus"]
    for command in (["cmake", "--preset", "release"], build):
        subprocess.run(command, cwd=NATIVE, check=True, capture_output=True)
    return NATIVE / "build" / "release" / "test_explore_litmus"


def explore(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), *words], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_program_that_is_wrong_is_found_and_comes_again(program: Path, fault: str) -> None:
    done = explore(program, "5000", "1", fault)
    assert done.returncode == 1
    assert re.search(FAULTS[fault], done.stderr)
    found = re.search(r"seed (\d+), step \d+, thread \d+\)\n$", done.stderr)
    assert found
    again = explore(program, "0", found.group(1), fault)
    hide = re.compile(r"0x[0-9a-f]+")
    assert hide.sub("", again.stderr) == hide.sub("", done.stderr)
    assert again.returncode == 1
    assert again.stdout or fault == "leaking", "a line for each step"


def test_a_scenario_that_is_not_there_is_told_apart(program: Path) -> None:
    assert explore(program, "1", "1", "nothing").returncode == 2
