"""The program of the explorer over programs that are wrong (native/explore/test_faults.c): each is found, comes again from its
token, and is made small before it is shown. The explorer's models and strategies are tested by test_explore_litmus."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from preset_builds import up_to_date

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"
#: scenario → contract, and what is said of it
FAULTS = {
    "race": ("race", r"plain read of 0x\w+ by thread 1, and an access by thread 0 that nothing orders"),
    "weak": ("S1", r"got\[0\] != 0"),
    "lost_wakeup": ("deadlock", "thread 1 waits, and nobody can wake it"),
    "lost_update": ("S5", "== 2"),
    "livelock": ("livelock", "the threads do not end"),
    "endless": ("endless", "comes to no door"),
    "asleep": ("endless", "thread 1 sleeps in the system and comes to no door"),
    "crash": ("crash", "signal 11"),
    "leak": ("leak", "32 bytes"),
    "double_free": ("double free", "0x"),
    "beyond": ("out of bounds", "behind the end of a block"),
    "exits": ("crash", "exit status 3"),
    "aba": ("race|S2", ""),
}


@pytest.fixture(scope="module")
def program() -> Path:
    return up_to_date("release", "explore_faults") / "explore_faults"


def explore(program: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run([str(program), *words], capture_output=True, text=True, timeout=240)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def find(program: Path, fault: str, *words: str) -> dict[str, Any]:
    """The violation of one run. It ends with that; the time is for a machine that has other things to do."""
    status, records, _ = explore(program, "run", fault, "--seconds", "200", *words)
    violations = [record for record in records if record["type"] == "violation"]
    assert (status, len(violations), records[-1]["status"]) == (1, 1, "violated")
    return violations[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_program_that_is_wrong_is_found_and_comes_again(program: Path, fault: str) -> None:
    contract, evidence = FAULTS[fault]
    found = find(program, fault)
    assert re.fullmatch(contract, found["contract"])
    assert re.search(evidence, found["evidence"])
    assert found["replayed"]
    assert found["scenario"] == fault
    assert found["switches"] <= found["switches_found"]
    status, again, _ = explore(program, "replay", found["token"])
    assert status == 1
    assert again[0]["type"] == "hello"
    assert [again[1][key] for key in ("contract", "evidence", "trace")] == [
        found[key] for key in ("contract", "evidence", "trace")
    ]


def test_a_race_is_shrunk_and_its_missing_edge_is_marked(program: Path) -> None:
    found = find(program, "race")
    steps = [line for line in found["trace"] if "|" in line and "alloc" not in line]
    assert not any("among_others" in line for line in steps), (
        "operations that have nothing to do with it are gone"
    )
    assert [line[:3].strip() for line in steps] == ["A", "", "", "B"]
    assert found["trace"][-1].startswith("=> missing: an edge from A (thread 0, test_faults.c:publish)")
    assert found["signature"] == "faults:race:publish:publish"
    assert found["switches"] == 0, "the second thread begins when the first has ended"
    assert not found["weak"]


def test_a_stale_read_is_marked_and_needs_weak_memory(program: Path) -> None:
    found = find(program, "weak")
    assert found["stale_reads"] == 1
    assert found["weak"]
    assert sum("STALE, last is 1" in line for line in found["trace"]) == 1


def test_weak_memory_is_not_seen_in_the_sequentially_consistent_model(program: Path) -> None:
    words = ["--set", "model=sc", "--set", "executions=3000"]
    status, records, _ = explore(program, "run", "weak", "--seconds", "200", *words)
    assert (status, records[-1]["status"], records[-1]["ops"]) == (0, "ok", 3000)


@pytest.mark.parametrize("strategy", ["random", "pct2", "pct3", "pct4", "pos", "exhaustive"])
def test_every_strategy_finds_a_lost_update(program: Path, strategy: str) -> None:
    found = find(program, "lost_update", "--set", f"strategy={strategy}", "--set", "model=sc")
    assert found["strategy"] == strategy
    assert 1 <= found["switches"] <= 2


def test_the_same_seeds_find_the_same(program: Path) -> None:
    one, other = (find(program, "lost_wakeup", "--seed", "7") for _ in range(2))
    assert (one["seed"], one["token"]) == (other["seed"], other["token"])


def test_several_violations_have_seeds_of_their_own(program: Path) -> None:
    words = ["--set", "violations=3", "--set", "shrink=false"]
    status, records, _ = explore(program, "run", "lost_update", "--seconds", "200", *words)
    seeds = [record["seed"] for record in records if record["type"] == "violation"]
    assert status == 1
    assert len(set(seeds)) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "rac"], "nearest: race"),
        (["run", "race", "--set", "strategy=pcd3"], "nearest: pct"),
        (["run", "race", "--threads", "2"], "one process explores with one thread"),
        (["replay"], "needs one token"),
        (["replay", "nonsense"], "this is no token"),
        (["replay", "0:faults:race:pos:sc:1:-:-"], "is of source 0"),
        (["replay", "BUILD:faults:nothing:pos:sc:1:-:-"], "there is no scenario 'nothing'"),
        (["replay", "BUILD:faults:race:pos:scc:1:-:-"], "nearest: sc"),
        (["replay", "BUILD:faults:race:pos:sc:x:-:-"], "is not a seed"),
        (["replay", "BUILD:faults:race:pos:sc:1:9.1:-"], "names thread 9"),
        (["replay", "BUILD:faults:race:pos:sc:1:-:12"], "is no list of numbers"),
        (["replay", "BUILD:faults:race:pos:sc:1:-:99999999.1"], "decisions that no run has"),
    ],
)
def test_bad_input_is_one_clear_line(program: Path, words: list[str], said: str) -> None:
    listing = subprocess.run([str(program), "list", "--json"], capture_output=True, text=True, check=True)
    build = json.loads(listing.stdout)["build"]
    status, records, error = explore(program, *(word.replace("BUILD", build) for word in words))
    assert (status, records) == (2, [])
    assert said in error
    assert error.count("\n") == 1


def test_every_scenario_names_its_subject(program: Path) -> None:
    listing = subprocess.run([str(program), "list", "--json"], capture_output=True, text=True, check=True)
    benches = json.loads(listing.stdout)["benches"]
    assert {bench["name"] for bench in benches} == set(FAULTS)
    assert {bench["subject"] for bench in benches} == {"faults"}


@pytest.mark.slow
def test_branch_coverage_is_told_per_scenario() -> None:
    command = [sys.executable, str(NATIVE / "tools" / "explore_coverage.py"), "--json", "--runs", "300"]
    shown = subprocess.run(
        [*command, "--only", "deque_short", "deque_fenced"], capture_output=True, text=True, check=True
    )
    rows = {row["scenario"]: row for row in json.loads(shown.stdout)}
    few, many = rows["deque_short"], rows["deque_fenced"]
    assert few["source"] == many["source"] == "deque.c"
    assert few["branches"] == many["branches"]
    assert 0 < few["taken"] < many["taken"] <= many["branches"], "the short one never grows the deque"
    assert set(many["missing"]) < set(few["missing"])
    unknown = subprocess.run([*command, "--only", "deque_shirt"], capture_output=True, text=True)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "there is no scenario 'deque_shirt'" in unknown.stderr
