"""The edge rule holds in the tree, and each kind of breach of it is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
CHECKER = NATIVE / "tools" / "check_edges.py"

GOOD = """
static void give(cell_t *cell) {
    /* relaxed: the store below publishes it */
    atomic_store_relaxed_u64(&cell->value, 1);
    /* edge CELL:R — the value; :A is in take */
    atomic_store_release_u64(&cell->full, 1);
}

static uint64_t take(cell_t *cell) {
    /* edge CELL:A — the value; :R is in give */
    return atomic_load_acquire_u64(&cell->full);
}
"""

BREACHES = {
    "untagged": (
        "    /* edge CELL:A — the value; :R is in give */\n",
        "",
        "acquire load without an edge",
    ),
    "relaxed without a reason": (
        "    /* relaxed: the store below publishes it */\n",
        "",
        "relaxed store without",
    ),
    "one-sided: no such function": ("is in give", "is in nobody", "there is no function nobody"),
    "one-sided: no such end there": ("edge CELL:R", "edge OTHER:R", "one-sided"),
    "ends that cannot meet": (":R is in give", ":A is in take", "cannot meet"),
    "the wrong end for the order": (
        "edge CELL:A — the value; :R is in give",
        "edge CELL:R — the value; :A is in take",
        "no such end",
    ),
    "malformed": ("edge CELL:A — the value; :R is in give", "edge CELL:A the value", "not of the form"),
    "stray": (
        "    return atomic_load_acquire_u64(&cell->full);",
        "    return cell->full;",
        "at no operation",
    ),
    "raw C11": (
        "atomic_load_acquire_u64(&cell->full)",
        "atomic_load_explicit(&cell->full, memory_order_acquire)",
        "raw atomic_load_explicit",
    ),
    "raw builtin": (
        "atomic_load_acquire_u64(&cell->full)",
        "__atomic_load_n(&cell->full, 2)",
        "raw __atomic_load_n",
    ),
    "raw fence": (
        "    return atomic",
        "    atomic_thread_fence(5);\n    return atomic",
        "raw atomic_thread_fence",
    ),
    "raw type": ("static void give", "static _Atomic(int) hidden;\nstatic void give", "raw _Atomic"),
}


def run_checker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHECKER), *arguments], capture_output=True, text=True, timeout=240
    )


def sample(tmp_path: Path, source: str, folder: str = "kernel") -> Path:
    (tmp_path / "kernel").mkdir(exist_ok=True)
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "sample.c").write_text(source)
    return tmp_path


def test_the_tree_keeps_the_edge_rule() -> None:
    done = run_checker()
    assert done.returncode == 0, done.stdout
    assert "GRACE" in done.stdout


def test_every_edge_is_documented() -> None:
    names = run_checker().stdout.split(": ", 1)[1].strip().split(", ")
    pages = "".join(path.read_text() for path in (NATIVE.parent / "docs" / "native").glob("*.md"))
    assert [name for name in names if f"`{name}`" not in pages] == []


def test_a_good_sample_passes(tmp_path: Path) -> None:
    done = run_checker(str(sample(tmp_path, GOOD)))
    assert (done.returncode, done.stdout) == (0, "2 ends of 1 edges: CELL\n")


@pytest.mark.parametrize("folder", ["kernel", "baseline", "include"])
@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(tmp_path: Path, breach: str, folder: str) -> None:
    old, new, said = BREACHES[breach]
    assert old in GOOD
    done = run_checker(str(sample(tmp_path, GOOD.replace(old, new, 1), folder)))
    assert done.returncode == 1
    assert said in done.stdout


def test_the_doors_themselves_are_made_of_raw_operations(tmp_path: Path) -> None:
    source = "_Atomic(int) hidden;\n"
    root = sample(tmp_path, source, "include")
    assert run_checker(str(root)).returncode == 1
    (root / "include" / "sample.c").rename(root / "include" / "atomics_sample.h")
    assert run_checker(str(root)).returncode == 0


def test_comments_and_strings_are_no_operations(tmp_path: Path) -> None:
    source = GOOD + '// _Atomic and atomic_thread_fence\nstatic const char *s = "volatile";\n'
    assert run_checker(str(sample(tmp_path, source))).returncode == 0


def test_a_door_that_nobody_uses_is_found(tmp_path: Path) -> None:
    root = sample(tmp_path, GOOD)
    (root / "include").mkdir()
    shutil.copy(NATIVE / "include" / "atomics_c11.h", root / "include")
    done = run_checker(str(root))
    assert done.returncode == 1
    assert "nobody uses atomic_fence_seq_cst" in done.stdout


def test_losing_any_one_edge_of_the_tree_is_found(tmp_path: Path) -> None:
    """Takes the first edge comment out of each kernel source in turn."""
    shutil.copytree(NATIVE / "kernel", tmp_path / "kernel")
    tried = 0
    for path in sorted((tmp_path / "kernel").glob("*.c")):
        text = path.read_text()
        start = text.find("/* edge")
        if start < 0:
            continue
        end = text.index("*/", start) + 2
        path.write_text(text[:start] + text[end:])
        assert run_checker(str(tmp_path)).returncode == 1, path.name
        path.write_text(text)
        tried += 1
    assert tried >= 5


def test_wrong_usage_is_told_apart(tmp_path: Path) -> None:
    assert run_checker(str(tmp_path)).returncode == 2
    assert run_checker("a", "b").returncode == 2
