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
    _its_rest_is_made(next((tmp_path / "runs").iterdir()))


def _its_rest_is_made(folder: Path) -> None:
    """As if whoever watched had been killed before the last step was over."""
    controller = folder / "journal" / "controller.ndjson"
    lines = controller.read_text().splitlines(keepends=True)
    at = max(n for n, line in enumerate(lines) if '"step_done"' in line)
    step = json.loads(lines[at])["data"]["step"]
    controller.write_text("".join(lines[:at]))
    (journal,) = folder.glob(f"journal/*/{step}.ndjson")
    before = journal.read_text()
    journal.write_text(before[: len(before) // 2])
    told = orch("report", folder, "--json")
    assert told.code == 3, told.err
    words = ("--resume", folder.name, "--runs", folder.parent, "--json")
    again = orch("race", "explore", *words)
    assert again.code == 0, again.err + again.out
    assert "1 of" in again.err
    assert "steps are missing" in again.err
    assert journal.read_text() == before
    once_more = orch("run", "resume", "last", "--runs", folder.parent)
    assert once_more.code == 0
    assert "nothing is missing" in once_more.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("deqeu", "--detector", "plain"), "unknown subject 'deqeu' (did you mean 'deque'?)"),
        (("deque", "--detector", "plain", "--budget", "10"), "is not a duration"),
        (("deque", "--detector", "plain", "--budget", "1s"), "too little for"),
        (("deque", "--detector", "valgrind"), "unknown detector 'valgrind'"),
        (("deque", "--resume", "last"), "goes on as it was begun: it takes no subject"),
        (("--resume", "nosuch"), "no such run"),
        (("--resume", "last", "--budget", "5m"), "goes on as it was begun: it takes no --budget"),
        (("--resume", "last", "--detector", "tsan"), "goes on as it was begun: it takes no --detector"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(tmp_path: Path, words: tuple[str, ...], what: str) -> None:
    ended = orch("race", "explore", *words, "--runs", tmp_path)
    assert ended.code == 2, ended.err
    assert what in ended.err
    assert "Traceback" not in ended.err
    assert not list(tmp_path.iterdir())
