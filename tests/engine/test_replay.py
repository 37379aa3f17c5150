"""A token is checked before anything is built, and what the program answers is read, whatever it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bundle.manifest import Variant
from orchestrator.engine import replay as module
from orchestrator.engine.replay import explorer_of, parts_of, replay
from orchestrator.errors import InputError, RemoteFailed
from orchestrator.model.address import Address

TOKEN = "0123456789abcdef:deque:deque_fenced:rotate:c11:293:0:-"

PROGRAM = """\
#!/bin/sh
test "$1 $2" = "replay TOKEN" || exit 9
SCRIPT
"""


def lines(*records: dict[str, Any]) -> str:
    return "\n".join(f"echo '{json.dumps(r)}'" for r in records)


RESULT = {"type": "result", "status": "ok", "seconds": 0.1, "ops": 1, "violations": 0, "metrics": []}
FOUND = {
    "type": "violation",
    "contract": "race",
    "evidence": "race: two",
    "trace": ["a", "b"],
    "token": TOKEN,
}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a program in the explorer's place that does what a script says."""

    def of(script: str) -> None:
        path = tmp_path / "explorer"
        path.write_text(PROGRAM.replace("TOKEN", TOKEN).replace("SCRIPT", script))
        path.chmod(0o755)
        made = Variant("explore", str(path), "0" * 64, 1, "x86_64", True, "")
        monkeypatch.setattr(module, "explorer_of", lambda _digest: made)

    return of


def here() -> Address:
    return Address(name="local", host="", local=True)


@pytest.mark.parametrize(
    "token",
    ["", "deque", TOKEN.replace("0123", "xyz!"), TOKEN.replace(":293:", "::"), "a" * 5000],
)
def test_what_is_no_token_is_refused_in_one_line(token: str) -> None:
    with pytest.raises(InputError, match="is none: one is build:subject:scenario") as refused:
        parts_of(token)
    assert len(str(refused.value)) < 250


def test_a_token_says_what_it_is_of() -> None:
    assert parts_of(TOKEN + "\n")["scenario"] == "deque_fenced"


def test_a_token_of_sources_that_are_nowhere_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCH_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="is of source 0123456789abcdef"):
        explorer_of("0123456789abcdef")


def test_what_was_found_is_there_again_with_its_trace(program: Any) -> None:
    program(lines(FOUND, {**RESULT, "status": "violated"}) + "\nexit 1")
    made = replay(TOKEN, here(), 30.0)
    assert made.violation is not None
    assert made.trace == ["a", "b"]


def test_a_run_that_ends_as_it_should_has_found_nothing(program: Any) -> None:
    program(lines(RESULT))
    assert replay(TOKEN, here(), 30.0).violation is None


def test_what_the_program_refuses_is_said_in_its_words(program: Any) -> None:
    program("echo 'orch-harness: replay: there is no scenario; list shows them' >&2; exit 2")
    with pytest.raises(InputError, match=r"^token: there is no scenario \(copy it whole"):
        replay(TOKEN, here(), 30.0)


@pytest.mark.parametrize("script", ["exit 0", "echo nonsense; exit 1", "kill -SEGV $$"])
def test_an_answer_that_is_none_is_no_pass(program: Any, script: str) -> None:
    program(script)
    with pytest.raises(RemoteFailed, match="no result"):
        replay(TOKEN, here(), 30.0)
