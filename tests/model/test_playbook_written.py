"""The playbook of a run folder is written in the language that playbooks are read in."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.names import known_names
from orchestrator.model.plan import JudgeSpec, StopSpec
from orchestrator.model.playbook import Playbook
from orchestrator.model.reading import check_playbook
from orchestrator.run import resolved

OURS = sorted((Path(__file__).parents[2] / "playbooks").glob("*.yml"))

WRITTEN: dict[str, Any] = {
    "orch": 1,
    "name": "p",
    "jobs": [
        {
            "name": "j",
            "workload": "native",
            "with": {"bench": "capability_check"},
            "measure": {"warmup": "100ms", "seconds": "1h30m"},
            "launches": {"min": 2, "max": 5, "until": {"metric": "ops_per_second", "ci": "2.5%"}},
            "limits": {"wall": "1us", "memory": "2GiB"},
            "stop": [{"violations": 1}],
            "judge": [{"exposure": {"confidence": "99%"}}, {"contracts": {}}],
        }
    ],
}


def test_what_is_written_reads_back_as_the_same_playbook() -> None:
    playbook = Playbook.model_validate(WRITTEN)
    for exclude_defaults in (True, False):
        again = playbook.model_dump(mode="json", by_alias=True, exclude_defaults=exclude_defaults)
        assert Playbook.model_validate(json.loads(json.dumps(again)) | {"orch": 1}) == playbook


def test_stops_and_judges_are_written_as_a_name_and_what_it_takes() -> None:
    playbook = Playbook.model_validate(WRITTEN)
    (job,) = playbook.model_dump(mode="json", by_alias=True, exclude_defaults=True)["jobs"]
    assert job["stop"] == WRITTEN["jobs"][0]["stop"]
    assert job["judge"] == WRITTEN["jobs"][0]["judge"]
    assert playbook.jobs[0].stop == [StopSpec("violations", 1)]
    assert playbook.jobs[0].judge[1] == JudgeSpec("contracts")


@pytest.mark.parametrize("file", OURS, ids=lambda p: p.stem)
def test_what_lies_in_a_run_folder_is_what_was_read_whatever_the_environment_says(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = known_names(None)
    asked, errors = check_playbook(
        file, names, sets={"seed": "9"} if "vars: {seed" in file.read_text() else {}
    )
    assert asked is not None, errors
    (tmp_path / "playbook.yml").write_text(resolved(asked))
    monkeypatch.setenv("ORCH_VAR_SEED", "77")
    again, errors = check_playbook(tmp_path / "playbook.yml", names, sets={}, environ={})
    assert (again, errors) == (asked, [])
