"""A scoreboard is asked for with names that exist, and what its tool says is passed on as it comes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.score import Asked, score
from orchestrator.errors import BuildError, InputError

ASKED = Asked(("explore", "tsan"), (1, 2), 3.0, 1.0, 1)


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    """A source tree whose tool does what a script says."""

    def made(script: str) -> Path:
        for folder in ("tools", "mutants"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "CMakeLists.txt").touch()
        (tmp_path / "mutants" / "a.patch").touch()
        (tmp_path / "tools" / "try_mutants.py").write_text(
            f"import json, sys\nasked = json.load(sys.stdin)\n{script}"
        )
        return tmp_path

    return made


def test_the_tool_is_told_detectors_subjects_and_seeds_and_answers_line_by_line(tree: Any) -> None:
    source = tree('print(json.dumps({"type": "void", "asked": asked}))')
    (answer,) = score(source, ASKED)
    asked = answer["asked"]
    assert [(d["name"], d["variant"], d["threads"] > 1, d["budget_s"]) for d in asked["detectors"]] == [
        ("explore", "explore", False, 3.0),
        ("tsan", "tsan", True, 1.0),
    ]
    assert asked["seeds"] == [1, 2]
    assert asked["subjects"]["deque"]["sources"]
    assert asked["decoys"] == ""


def test_answers_are_kept_as_they_come(tree: Any, tmp_path: Path) -> None:
    keep = tmp_path / "kept.jsonl"
    list(score(tree('print("{}"); print("{}")'), replace(ASKED, keep=keep)))
    list(score(tree('print(json.dumps({"keep": asked["keep"]}))'), replace(ASKED, keep=keep)))
    assert [json.loads(line) for line in keep.read_text().splitlines()] == [{}, {}, {"keep": str(keep)}]


def test_an_answer_that_is_kept_already_is_not_kept_twice(tree: Any, tmp_path: Path) -> None:
    keep = tmp_path / "kept.jsonl"
    asked = replace(ASKED, keep=keep)
    list(score(tree("""print('{"key": "a"}'); print('{"key": "b"}')"""), asked))
    keep.write_text(keep.read_text() + '{"key": "c')  # broken off
    list(score(tree("""print('{"key": "b"}'); print('{"key": "d"}')"""), asked))
    assert [line for line in keep.read_text().splitlines() if '"b"' in line] == ['{"key": "b"}']


def test_a_detector_has_words_of_its_own_for_the_program(tree: Any) -> None:
    source = tree('print(json.dumps({"asked": asked}))')
    (answer,) = score(source, replace(ASKED, detectors=("stutter", "linearizability")))
    stutter, histories = answer["asked"]["detectors"]
    assert stutter["words"][0] == "--stutter"
    assert (stutter["histories"], histories["histories"]) == (False, True)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"only": ("nosuch",)}, "there is no such mutant"),
        ({"mutants": Path("/nonexistent")}, "is no folder"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_built(
    tree: Any, given: dict[str, Any], what: str
) -> None:
    with pytest.raises(InputError, match=what):
        list(score(tree("raise SystemExit(9)"), replace(ASKED, **given)))


def test_a_folder_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no native source tree"):
        list(score(tmp_path, ASKED))


def test_a_tool_that_gives_up_says_why(tree: Any) -> None:
    with pytest.raises(BuildError, match="explore does not build"):
        list(
            score(
                tree('print("try_mutants.py: explore does not build", file=sys.stderr); sys.exit(2)'), ASKED
            )
        )
