"""The table of weakened operations is of the sources as they are: a row for each operation, with a reason, and none of an operation that is gone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    tool = root / "native" / "tools" / "weaken.py"
    return subprocess.run(
        [sys.executable, tool, "check"], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the tool reads, to be spoiled."""
    for part in ("native/kernel", "native/include", "native/explore", "native/tools"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs" / "native").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "native" / "weakenings.md", tmp_path / "docs" / "native")
    return tmp_path


def test_every_ordered_operation_has_its_row() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            "atomic_load_acquire_u64(&deque->top)",
            "atomic_load_relaxed_u64(&deque->top)",
            "there is nothing any more that is deque.c",
        ),
        (
            "atomic_load_relaxed_u64(&deque->bottom)",
            "atomic_load_acquire_u64(&deque->bottom)",
            "no row for deque.c",
        ),
    ],
)
def test_a_source_that_has_moved_on_is_told(copy: Path, before: str, after: str, says: str) -> None:
    source = copy / "native" / "kernel" / "deque.c"
    text = source.read_text()
    assert before in text
    source.write_text(text.replace(before, after))
    done = check(copy)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verdict", ["equivalent", "killed", "gap"])
def test_a_verdict_without_a_reason_is_told(copy: Path, verdict: str) -> None:
    table = copy / "docs" / "native" / "weakenings.md"
    text, count = re.subn(rf"\| {verdict} \| [^|]+ \|", f"| {verdict} |  |", table.read_text(), count=1)
    assert count == 1
    table.write_text(text)
    done = check(copy)
    assert done.returncode == 1
    assert "no reason for" in done.stderr


@pytest.mark.parametrize("said", ["nothing seen by deque_short 300000 runs", "no scenario comes to it"])
def test_a_gap_of_which_nobody_has_said_why_is_told(copy: Path, said: str) -> None:
    table = copy / "docs" / "native" / "weakenings.md"
    text, count = re.subn(r"\| gap \| [^|]+ \|", f"| gap | {said} |", table.read_text(), count=1)
    assert count == 1
    table.write_text(text)
    done = check(copy)
    assert done.returncode == 1
    assert "no reason for" in done.stderr


def test_a_scenario_that_is_gone_has_killed_nothing(copy: Path) -> None:
    scenarios = copy / "native" / "explore" / "scenario_deque.c"
    scenarios.write_text(scenarios.read_text().replace('"deque_fenced"', '"deque_bounded"'))
    done = check(copy)
    assert done.returncode == 1
    assert "there is no scenario any more that killed deque.c" in done.stderr


def test_the_counts_at_the_head_are_those_of_the_rows() -> None:
    text = (ROOT / "docs" / "native" / "weakenings.md").read_text()
    (told,) = re.findall(r"^\d+ in all: (\d+) killed, (\d+) equivalent, (\d+) gap\.$", text, re.MULTILINE)
    counts = [
        len(re.findall(rf"^\|.*→.*\| {verdict} \|", text, re.MULTILINE))
        for verdict in ("killed", "equivalent", "gap")
    ]
    assert [int(n) for n in told] == counts
