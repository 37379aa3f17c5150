"""Code from outside the kernel is explored by one command; a planted ABA is found and comes again, the right stack is clean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from own_scenarios import SLEEPS

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"
TREIBER = NATIVE / "examples" / "treiber"


def explore(*words: str | Path) -> subprocess.CompletedProcess[str]:
    tool = NATIVE / "tools" / "explore_own.py"
    return subprocess.run([sys.executable, tool, *words], capture_output=True, text=True, timeout=1800)


def test_a_planted_aba_is_found_and_comes_again_and_the_right_stack_is_clean() -> None:
    done = explore(TREIBER, "--seconds", "1")
    assert done.returncode == 1, done.stderr
    assert re.search(
        r"^treiber: nothing found in [1-9][\d,]* executions, so at 99%", done.stdout, re.MULTILINE
    )
    assert re.search(r"^treiber_aba: \S.* \(execution \d+\)$", done.stdout, re.MULTILINE)
    (token,) = re.findall(r"again: --replay (\S+)$", done.stdout, re.MULTILINE)
    again = explore(TREIBER, "--replay", token)
    assert again.returncode == 1
    assert "treiber_stack.h" in again.stdout
    other = explore(TREIBER, "--replay", re.sub(r"^[0-9a-f]+", "0" * 16, token))
    assert other.returncode == 2
    assert len(other.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "no scenario_"),
        (lambda folder: (folder / "scenario_bad.c").write_text("#error not yet\n"), "not yet"),
    ],
)
def test_what_cannot_be_explored_is_said(tmp_path: Path, make: object, says: str) -> None:
    assert callable(make)
    make(tmp_path)
    done = explore(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    for left in (NATIVE / "build").glob("own-*"):
        if not os.access(left / "orch-harness-explore", os.X_OK):
            shutil.rmtree(left)


ENDLESS = (
    SLEEPS
    + """
static void run_on(unsigned thread) {
    for (volatile unsigned i = thread; i != 2; i = thread) {
    }
}
static const explore_scenario_t scenarios[] = {{"sleeps", 2, nothing, sleep_on, nothing}, {"runs_on", 2, nothing, run_on, nothing}};
EXPLORE_SCENARIOS("mine", "", scenarios)
"""
)


def test_what_does_not_compile_or_never_ends_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A lock of the system is held by a thread of the scenario that waits for its turn: all of them are one process, which sleeps."""
    (tmp_path / "scenario_bad.c").write_text("#error not yet\n")
    (tmp_path / "scenario_endless.c").write_text(ENDLESS)
    (tmp_path / "scenario_namesake.c").write_text(f'#include "{TREIBER}/scenario_treiber.c"\n')
    done = explore(tmp_path, TREIBER / "scenario_treiber.c", "--seconds", "3")
    assert done.returncode == 2
    assert "scenario_bad.c: it does not compile" in done.stderr
    assert "not yet" in done.stderr
    assert "two scenarios are named treiber, and only one of them is explored" in done.stderr
    for name, how in (("sleeps", "sleeps in the system"), ("runs_on", "runs on")):
        found = rf"^{name}: endless: thread \d {how} and comes to no door \(execution 1\)$"
        short = f"^{name}: no execution came to its end in 3 s: nothing is known of it$"  # on a machine with no time for it
        assert re.search(f"{found}|{short}", done.stdout + done.stderr, re.MULTILINE), (
            done.stdout + done.stderr
        )
    assert re.search(r"^treiber: nothing found in [1-9]", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_a_scenario_with_more_threads_than_there_are_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "scenario_many.c").write_text(
        '#include "explore.h"\nstatic void nothing(void) {}\nstatic void none(unsigned thread) { (void)thread; }\n'
        'static const explore_scenario_t scenarios[] = {{"five", 5, nothing, none, nothing}, {"two", 2, nothing, none, nothing}};\n'
        'EXPLORE_SCENARIOS("mine", "", scenarios)\n'
    )
    done = explore(tmp_path, "--seconds", "1")
    assert done.returncode == 2
    assert "five: a scenario has 1 to 4 threads; this one says 5" in done.stderr
    assert re.search(r"^two: nothing found in [1-9]", done.stdout, re.MULTILINE)


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = explore(tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere is not there" in done.stderr


def test_the_scenario_of_the_page_compiles(tmp_path: Path) -> None:
    """The twenty lines as they stand, over a stack that has the names that they use."""
    page = (NATIVE.parent / "docs" / "native" / "own_code.md").read_text()
    (code,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    (tmp_path / "scenario_mine.c").write_text(code)
    (tmp_path / "my_stack.h").write_text(
        '#include "treiber_stack.h"\n'
        "typedef treiber_stack_t my_stack_t;\n"
        "static void my_push(my_stack_t *s, uint64_t v) { treiber_push(s, v + 1); }\n"
        "static uint64_t my_pop(my_stack_t *s) { uint64_t v = treiber_pop(s); return v ? v - 1 : 0; }\n"
    )
    flags = ["-std=c17", "-D_GNU_SOURCE=", "-Wall", "-Werror", "-fsyntax-only", f"-I{TREIBER}"]
    flags += [
        f"-I{NATIVE / 'include'}",
        f"-I{NATIVE / 'explore'}",
        '-DORCH_ATOMICS_BACKEND="atomics_explore.h"',
    ]
    subprocess.run(["gcc", *flags, str(tmp_path / "scenario_mine.c")], check=True)
