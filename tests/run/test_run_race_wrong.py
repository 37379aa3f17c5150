"""A search for races over code of which a part is wrong: one file does not compile, one scenario never ends. The rest of the job goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from orch_process import ROOT, orch
from own_scenarios import SLEEPS

pytestmark = [pytest.mark.ray, pytest.mark.native, pytest.mark.slow]

ENDLESS = (
    SLEEPS
    + """
static const explore_scenario_t scenarios[] = {{"sleeps", 2, nothing, sleep_on, nothing}};
EXPLORE_SCENARIOS("mine", "", scenarios)
"""
)
#: It compiles, and needs what nobody has.
UNLINKED = """
#include "explore.h"
void nowhere(void);
static void none(unsigned thread) { (void)thread; }
static const explore_scenario_t scenarios[] = {{"linked", 2, nowhere, none, nowhere}};
EXPLORE_SCENARIOS("linked", "", scenarios)
"""
BENCHES = {"bench_deque_steal.c", "bench_baseline_task_churn.c", "bench_harness_floor.c"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The native code in a folder of its own, with the benches and scenarios of the deque alone."""
    skip = shutil.ignore_patterns("build", "mutants", "__pycache__")
    shutil.copytree(ROOT / "native", tmp_path / "native", ignore=skip)
    for path in (tmp_path / "native" / "explore").glob("scenario_*.c"):
        if path.name != "scenario_deque.c":
            path.unlink()
    for path in (tmp_path / "native" / "harness").glob("bench_*.c"):
        if path.name not in BENCHES:
            path.unlink()
    return tmp_path


def search(tree: Path, *words: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """The exit code, the findings of race by the first word of what they are of, behind the job, and what was said meanwhile."""
    ended = orch(
        "race", "explore", *words, "--no-confirm", "--runs", "runs", "--json", cwd=tree, timeout_s=1800
    )
    assert "Traceback" not in ended.err
    assert ended.out, ended.err
    found = [f for f in json.loads(ended.out)["findings"] if f["analysis"] == "race"]
    return ended.code, {f["subject"].split()[1]: f for f in found}, ended.err


def went_on(summary: str) -> bool:
    """What is sound was run, or given up as lost where the machine had no time for it, which is no fault of what is not sound."""
    return "none found in" in summary or "lost: out of reach" in summary


def test_what_does_not_compile_is_told_and_everything_else_goes_on(tree: Path) -> None:
    (tree / "native" / "explore" / "scenario_mine.c").write_text("#error not yet\n")
    (tree / "native" / "explore" / "scenario_linked.c").write_text(UNLINKED)
    chosen = ("--detector", "explore", "--detector", "plain")
    code, found, said = search(tree, "deque", "mine", *chosen, "--budget", "24s")
    assert code == 1
    why = "does not compile: explore/scenario_mine.c:1:2: error: #error not yet"
    assert found["mine"]["verdict"] == "unknown"
    assert found["mine"]["summary"].endswith(f"1 step of explore failed: scenario_mine.c {why}")
    assert went_on(found["deque"]["summary"])
    assert "failed" not in found["deque"]["summary"]
    assert f"orch: scenario_mine.c {why}; it is left out" in said
    assert "orch: scenario_linked.c does not link: undefined reference to `nowhere'; it is left out" in said

    code, found, said = search(tree, "deque", *chosen, "--budget", "24s")
    assert "mine" not in found, "nobody asked for it"
    assert code in (0, 3), "3: on a machine that had no time for it"
    assert went_on(found["deque"]["summary"])
    assert "scenario_mine.c does not compile" in said


def test_a_scenario_that_never_ends_is_reported_and_the_others_go_on(tree: Path) -> None:
    (tree / "native" / "explore" / "scenario_mine.c").write_text(ENDLESS)
    code, found, _ = search(tree, "deque", "mine", "--detector", "explore", "--budget", "24s")
    assert went_on(found["deque"]["summary"])
    if code == 1:
        assert found["mine"]["verdict"] == "violated"
        assert "sleeps in the system and comes to no door" in found["mine"]["summary"]
        assert "orch replay" in found["mine"]["summary"]
    else:  # a machine that had no half a second for it
        assert (code, found["mine"]["verdict"]) == (3, "unknown")
        told = found["mine"]["summary"]
        assert "no execution came to its end" in told or "lost: out of reach" in told
