"""Each fault that is planted on purpose is found; a detector that cannot fail proves nothing."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NATIVE = Path(__file__).parents[2] / "native"
SCRIPT = NATIVE / "tools" / "check_mutants.py"
PATCHES = sorted((NATIVE / "mutants").glob("*.patch"))
DECOYS = sorted((NATIVE / "mutants" / "decoys").glob("*.patch"))
#: How many planted faults there are at least of each kind.
LEAST = {
    "weak-memory": 12,
    "lost-wakeup": 6,
    "aba": 6,
    "leak": 6,
    "wrong-result": 6,
    "three-threads": 6,
}
KIND = re.compile(r"^Kind: (.*)$", re.MULTILINE)
CONTRACT = re.compile(r"Breaks: (?:[CSPG]\d|[A-Z][a-z]\w*)")

pytestmark = pytest.mark.timeout(3000)

#: A comment at the head of a source: no test can find it.
SOURCE = NATIVE / "kernel" / "reclaim.c"
HEAD = SOURCE.read_text().splitlines(keepends=True)[:5]
HARMLESS = "Breaks: C3\nTest: test_reclaim\n\n" + "".join(
    difflib.unified_diff(
        HEAD, ["// nothing\n", *HEAD], "a/native/kernel/reclaim.c", "b/native/kernel/reclaim.c"
    )
)


def run_script(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--json", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=2900)


def judged(*words: str) -> list[dict[str, Any]]:
    done = run_script(*words)
    assert done.returncode in {0, 1}, done.stderr
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    return verdicts


@pytest.mark.native
def test_a_planted_fault_of_every_contract_is_found() -> None:
    verdicts = judged("--quick")
    assert {v["breaks"] for v in verdicts} >= {"C1", "C2", "C3"}
    assert [v["name"] for v in verdicts if not v["killed"]] == []


@pytest.mark.slow
@pytest.mark.native
def test_every_planted_fault_is_found() -> None:
    verdicts = judged()
    assert {v["name"] for v in verdicts} == {path.stem for path in PATCHES}
    assert [v["name"] for v in verdicts if not v["killed"]] == []


@pytest.mark.slow
@pytest.mark.native
def test_nobody_reports_what_only_looks_wrong() -> None:
    verdicts = judged("--decoys", "--attempts", "1")
    assert {v["name"] for v in verdicts} == {path.stem for path in DECOYS}
    assert [v["name"] for v in verdicts if v["killed"]] == []


@pytest.mark.native
def test_the_stress_test_finds_a_planted_fault_on_real_cpus_too() -> None:
    (verdict,) = judged("--stress", "--only", "check_without_generation")
    assert verdict["detector"] == "test_stress"


@pytest.mark.native
def test_a_fault_that_nobody_finds_is_told(tmp_path: Path) -> None:
    (tmp_path / "harmless.patch").write_text(HARMLESS)
    done = run_script("--mutants", str(tmp_path), "--attempts", "1")
    assert done.returncode == 1, done.stderr
    (verdict,) = json.loads(done.stdout)
    assert (verdict["name"], verdict["killed"]) == ("harmless", False)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Breaks: C3\n", "", "does not say what it breaks"),
        ("test_reclaim", "test_nothing", "no such test"),
        (HEAD[0], "// another line\n", "does not apply"),
    ],
)
@pytest.mark.native
def test_a_patch_that_cannot_be_used_is_told_apart(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "wrong.patch").write_text(HARMLESS.replace(old, new))
    done = run_script("--mutants", str(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_every_planted_fault_says_what_it_breaks(path: Path) -> None:
    assert CONTRACT.fullmatch(path.read_text().split("\n", 1)[0])


def test_there_are_faults_of_every_kind() -> None:
    kinds = [
        kind
        for path in PATCHES
        for line in KIND.findall(path.read_text().split("\n---", 1)[0])
        for kind in line.split(", ")
    ]
    assert set(kinds) == set(LEAST)
    assert {kind: kinds.count(kind) for kind in LEAST if kinds.count(kind) < LEAST[kind]} == {}
    assert len(PATCHES) >= 60
    assert len(DECOYS) >= 8


def test_every_patch_applies() -> None:
    for path in PATCHES + DECOYS:
        command = ["git", "apply", "--check", str(path)]
        done = subprocess.run(command, cwd=NATIVE.parent, capture_output=True, text=True)
        assert done.returncode == 0, f"{path.name}: {done.stderr}"
