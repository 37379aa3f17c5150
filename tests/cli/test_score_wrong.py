"""`orch race score`, asked wrongly: one line, before anything is built, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.app import app
from orchestrator.errors import BuildError, InputError

ANSWER = json.dumps({"type": "whole", "build": "b"}) + "\n"


def ask(*words: str) -> Result:
    return CliRunner().invoke(app, ["race", "score", *words])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "native" / "tools").mkdir(parents=True)
    (tmp_path / "native" / "mutants").mkdir()
    (tmp_path / "native" / "CMakeLists.txt").touch()
    (tmp_path / "native" / "tools" / "try_mutants.py").write_text("raise SystemExit(9)\n")
    (tmp_path / "native" / "mutants" / "pop_twice.patch").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.md").write_text("# Notes\n\nnot ours\n")
    (tmp_path / "cut.jsonl").write_text(ANSWER + '{"type": "tri')
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--only", "pop_twise"), "--only pop_twise: there is no such mutant (did you mean 'pop_twice'?)"),
        (("--mutants", "nowhere"), "--mutants nowhere: is no folder"),
        (("--mutants", "empty"), "--mutants empty: there is no patch in it (faults are files NAME.patch)"),
        (("--decoys", "nowhere"), "--decoys nowhere: is no folder"),
        (("--page", "empty"), "--page empty: is a folder (name a file)"),
        (("--page", "nowhere/page.md"), "--page nowhere/page.md: its folder is not there (name a file)"),
        (("--keep", "empty"), "--keep empty: cannot be written: Is a directory"),
        (
            ("--keep", "notes.md"),
            "--keep notes.md:1: is no answer of `orch race score` (name a file of its own)",
        ),
        (("--known",), "--known: there is no file of answers (--keep FILE)"),
        (("--known", "--keep", "nowhere.jsonl"), "--keep nowhere.jsonl: is not there: nothing is known"),
        (("--budget", "0s"), "--budget 0s: no time at all (such as 10s)"),
        (("--stress", "soon"), "--stress soon: "),
        (("--detector", "valgrind"), "--detector valgrind: unknown detector 'valgrind'"),
    ],
)
def test_a_wrong_word_is_one_line_and_2(here: Path, words: tuple[str, ...], said: str) -> None:
    before = sorted(here.rglob("*"))
    ended = ask(*words)
    assert isinstance(ended.exception, InputError), ended.output
    assert said in str(ended.exception)
    assert (len(str(ended.exception).splitlines()), ended.output) == (1, "")
    assert sorted(here.rglob("*")) == before


def test_what_is_known_of_nothing_is_unknown(here: Path) -> None:
    ended = ask("--known", "--keep", "cut.jsonl", "--json")
    assert json.loads(ended.stdout)["total"]["planted"] == 0
    assert ended.exit_code == 3, ended.output


def test_a_tool_that_fails_is_told_in_one_line(here: Path) -> None:
    ended = ask("--keep", "cut.jsonl")
    assert isinstance(ended.exception, BuildError), ended.output
    assert "exit status 9" in str(ended.exception)
    assert len(str(ended.exception).splitlines()) == 1
