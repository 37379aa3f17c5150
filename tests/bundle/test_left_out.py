"""A file of scenarios that does not compile costs its own scenarios, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.bundle import build as subject
from orchestrator.bundle.digest import source_digest
from orchestrator.bundle.manifest import Bundle
from orchestrator.bundle.scenarios import subjects_of
from orchestrator.engine.names import scenarios_of
from orchestrator.errors import BuildError

pytestmark = pytest.mark.native

DECLARED = 'EXPLORE_SCENARIOS("deque", "", scenarios)\nEXPLORE_SCENARIOS("mine", "", more)\n'
#: file → what is in it, why it is left out
WRONG = {
    "scenario_early.c": (
        "#error not yet\n" + DECLARED,
        "does not compile: explore/scenario_early.c:1:2: error: #error not yet",
    ),
    "scenario_brace.c": (
        "int brace(void) { return 0; }}\n",
        "does not compile: explore/scenario_brace.c:1:30: error: ",
    ),
    "scenario_header.c": (
        '#include "nowhere.h"\n',
        "does not compile: explore/scenario_header.c:1:10: fatal error: nowhere.h: No such file",
    ),
    "scenario_far.c": (
        "int away(void);\nint far(void);\nint far(void) { return away(); }\n",
        "does not link: undefined reference to `away'",
    ),
}


def test_the_explorer_is_built_without_and_says_why(
    exploring: Path, cache: Path, counted_cmake: Path
) -> None:
    for name, (text, _) in WRONG.items():
        (exploring / "explore" / name).write_text(text)
    bundle = subject.build(exploring, ["explore"])
    assert bundle.digest == source_digest(exploring), "the id is that of the whole tree"
    told = {left.file: left for left in bundle.left_out}
    assert sorted(told) == sorted(WRONG)
    for name, (_, why) in WRONG.items():
        assert told[name].why.startswith(why)
        assert "\n" not in told[name].told
    assert subject.verify(bundle) == []
    assert Bundle.from_json(bundle.to_json()) == bundle
    calls = counted_cmake.read_text()
    assert subject.build(exploring, ["explore"]) == bundle
    in_their_place = {"tiny": ["tiny"], "brace": ["scenario_brace.c"], "header": ["scenario_header.c"]}
    in_their_place |= {"deque": ["scenario_early.c"], "mine": ["scenario_early.c"], "far": ["scenario_far.c"]}
    assert scenarios_of(exploring) == in_their_place
    assert counted_cmake.read_text() == calls, "known from the cache"


def test_what_is_wrong_elsewhere_breaks_the_whole_as_before(exploring: Path, cache: Path) -> None:
    (exploring / "explore" / "scenario_early.c").write_text("#error not yet\n")
    (exploring / "harness" / "main.c").write_text("int main(void) { return nothing; }\n")
    with pytest.raises(BuildError, match=r"variant explore: "):
        subject.build(exploring, ["explore"])


def test_where_no_scenario_compiles_there_is_no_explorer(exploring: Path, cache: Path) -> None:
    for path in (exploring / "explore").iterdir():
        path.write_text("#error not yet\n")
    with pytest.raises(BuildError, match="not yet"):
        subject.build(exploring, ["explore"])


@pytest.mark.parametrize(
    ("text", "subjects"), [(DECLARED, ["deque", "mine"]), ("#error not yet", ["mine"]), ("", ["mine"])]
)
def test_whose_scenarios_they_are_is_read_from_the_file(
    tmp_path: Path, text: str, subjects: list[str]
) -> None:
    path = tmp_path / "scenario_mine.c"
    path.write_text(text)
    assert subjects_of(path) == subjects
