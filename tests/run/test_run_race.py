"""`orch race explore` from the command line: a real search, and what it is worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from orch_process import orch

pytestmark = [pytest.mark.ray, pytest.mark.native]


def test_a_clean_subject_is_never_told_without_its_bound(tmp_path: Path) -> None:
    words = ("--detector", "plain", "--budget", "3s", "--runs", tmp_path / "runs", "--json")
    ended = orch("race", "explore", "deque", *words)
    assert ended.code == 0, ended.err + ended.out
    (found,) = [f for f in json.loads(ended.out)["findings"] if f["analysis"] == "race"]
    assert found["verdict"] == "holds"
    assert "none found in" in found["summary"]
    assert "at 99% confidence fewer than" in found["summary"]
    assert found["high"] > 0


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("deqeu", "--detector", "plain"), "unknown subject 'deqeu' (did you mean 'deque'?)"),
        (("deque", "--detector", "plain", "--budget", "10"), "is not a duration"),
        (("deque", "--detector", "plain", "--budget", "1s"), "too little for"),
        (("deque", "--detector", "valgrind"), "unknown detector 'valgrind'"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    ended = orch("race", "explore", *words, "--runs", tmp_path)
    assert ended.code == 2, ended.err
    assert what in ended.err
    assert "Traceback" not in ended.err
    assert not list(tmp_path.iterdir())
