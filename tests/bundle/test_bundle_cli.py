from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.bundle.digest import source_digest
from orchestrator.cli.bundle import app
from orchestrator.errors import InputError

pytestmark = pytest.mark.native


def ask(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def test_build_answers_with_the_manifest(tiny: Path, cache: Path) -> None:
    said = json.loads(ask("build", "--source", str(tiny), "--variant", "release", "--json"))
    assert said["digest"] == source_digest(tiny)
    assert [v["name"] for v in said["variants"]] == ["release"]
    assert f"build {source_digest(tiny)}" in ask("build", "--source", str(tiny))


def test_list_shows_benches_and_settings(tiny: Path, cache: Path) -> None:
    (bench,) = json.loads(ask("list", "--source", str(tiny), "--json"))
    assert bench["name"] == "tiny"
    assert bench["settings"][0]["default"] == 7
    assert ask("list", "--source", str(tiny)) == "tiny: s\n    ids=7  h  [1 .. 9]\n"


def test_list_without_a_compiler_shows_names(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert ask("list", "--source", str(tiny)) == "tiny\n    settings are known when it can be built\n"


def test_verify_says_what_is_wrong_and_exits_1(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "as they should be" in ask("verify", "--source", str(tiny))
    assert json.loads(ask("verify", "--source", str(tiny), "--json"))["good"] is True
    monkeypatch.setattr("orchestrator.bundle.build.verify", lambda _: ["release: is not static"])
    assert ask("verify", "--source", str(tiny), status=1) == "release: is not static\n"
    said = json.loads(ask("verify", "--source", str(tiny), "--json", status=1))
    assert (said["good"], said["wrong"]) == (False, ["release: is not static"])


def test_wrong_input_is_raised_for_the_one_place_that_catches(tiny: Path) -> None:
    with pytest.raises(InputError, match="unknown variant"):
        ask("build", "--source", str(tiny), "--variant", "fast")
