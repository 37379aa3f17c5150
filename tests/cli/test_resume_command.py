"""`orch resume`, tried wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from orch_process import orch


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resume", "nosuch"), "no such run"),
        (("run", "playbook"), "which playbook?"),
        (("run", "playbook", "book.yml", "--resume", "last"), "takes no playbook"),
    ],
)
def test_a_wrong_wish_is_one_line_and_2(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    ended = orch(*words, "--runs", tmp_path)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1
