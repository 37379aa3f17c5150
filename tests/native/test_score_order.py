"""Trials are made in an order that knows most when it is broken off, and an answer holds while what its runs are made from is the same."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

TOOLS = Path(__file__).parents[2] / "native" / "tools"
HARNESS = "CMakeFiles/orch-harness.dir/harness"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("try_mutants")


def detector(name: str, *, explores: bool = False) -> SimpleNamespace:
    return SimpleNamespace(name=name, explores=explores)


def test_the_explorer_comes_first_and_then_seed_after_seed(tool: ModuleType) -> None:
    fault, decoy = SimpleNamespace(decoy=False), SimpleNamespace(decoy=True)
    explore, tsan = detector("explore", explores=True), detector("tsan")
    asked = SimpleNamespace(detectors=[explore, tsan], seeds=[1, 2])
    made = [
        (r.faults[0].decoy, [d.name for d in r.detectors], r.seeds, r.last)
        for r in tool.rounds([decoy, fault], asked)
    ]
    assert made == [
        (False, ["explore"], [1, 2], True),
        (True, ["explore", "tsan"], [1], False),
        (False, ["tsan"], [1], False),
        (True, ["explore", "tsan"], [2], True),
        (False, ["tsan"], [2], True),
    ]


def test_a_round_in_which_there_is_nothing_to_do_is_left_out(tool: ModuleType) -> None:
    asked = SimpleNamespace(detectors=[detector("tsan")], seeds=[1])
    (only,) = tool.rounds([SimpleNamespace(decoy=False)], asked)
    assert [d.name for d in only.detectors] == ["tsan"]


def test_a_run_is_made_from_its_own_bench_and_not_from_others(tool: ModuleType, tmp_path: Path) -> None:
    planted = importlib.import_module("planted")
    names = [f"{HARNESS}/{part}.c.o" for part in ("main", "bench_spawn", "bench_pingpong")]
    build = importlib.import_module("check_mutants").Build(
        tmp_path, {n: ["cc"] for n in names}, {n: {f"harness/{Path(n).name[:-2]}"} for n in names}
    )
    assert planted.objects_of(build, set(), {"spawn"}) == names[:2]
    programs = planted.Programs(tmp_path)
    assert programs.made_of(build, names[:2]) != programs.made_of(build, names)
    other = importlib.import_module("check_mutants").Build(tmp_path / "x", build.commands, build.made_from)
    assert programs.made_of(other, names[:2]) == programs.made_of(build, names[:2])
