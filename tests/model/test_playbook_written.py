"""The playbook of a run folder is written in the language that playbooks are read in."""

import json
from typing import Any

from orchestrator.model.plan import JudgeSpec, StopSpec
from orchestrator.model.playbook import Playbook

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
