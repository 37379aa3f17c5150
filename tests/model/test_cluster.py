"""`cluster` of a playbook and of the top of an inventory: the stronger word, bounds, and what is wrong said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.model.cluster import ClusterSpec, cluster_plan
from orchestrator.model.inventory import read_inventory
from orchestrator.model.plan import ClusterPlan
from orchestrator.model.playbook import Playbook


def test_without_a_word_it_is_as_it_always_was() -> None:
    assert cluster_plan(None, None) == ClusterPlan()
    assert cluster_plan(ClusterSpec(), None) == ClusterPlan()


def test_the_playbooks_word_is_stronger_key_by_key() -> None:
    fleet = ClusterSpec(tls=True, ports="20000-20199", health="short")
    book = ClusterSpec.model_validate({"health": "long", "object_store": "1GiB"})
    assert cluster_plan(fleet, book) == ClusterPlan(
        tls=True, health="long", ports=[20000, 20199], object_store_bytes=2**30
    )


def test_what_was_said_is_written_down_as_people_write_it() -> None:
    """playbook.yml of a run folder."""
    said = {"tls": True, "ports": "20000-20199", "object_store": "104857600B"}
    job = {"name": "a", "workload": "command", "with": {"argv": ["true"]}}
    book = Playbook.model_validate({"orch": 1, "name": "n", "cluster": said, "jobs": [job]})
    assert book.model_dump(mode="json", by_alias=True, exclude_defaults=True)["cluster"] == said


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"ports": 20000}, "expected a range of ports"),
        ({"ports": "20000"}, "expected a range of ports"),
        ({"ports": "20199-20000"}, "not a range within 1024-65535"),
        ({"ports": "60000-70000"}, "not a range within"),
        ({"ports": "20000-20010"}, "11 port(s)"),
        ({"object_store": "1MiB"}, "smaller than Ray allows"),
        ({"object_store": 5}, "no unit"),
        ({"health": "slow"}, "'short' or 'long'"),
        ({"tls": "yes"}, "bool"),
        ({"dashboard": True}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match="validation error") as caught:
        ClusterSpec.model_validate(said)
    assert words in str(caught.value)


def test_an_inventory_says_it_at_its_top_and_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yml"
    file.write_text(json.dumps({"cluster": {"tls": True}, "hosts": {"n1": {}}}))
    fleet, errors = read_inventory(file)
    assert fleet is not None, errors
    assert fleet.cluster == ClusterSpec(tls=True)
    file.write_text(json.dumps({"hosts": {"n1": {"cluster": {"tls": True}}}}))
    _, errors = read_inventory(file)
    assert "unknown key 'cluster'" in str(errors[0])
    file.write_text(json.dumps({"cluster": {"port": "1-2"}, "hosts": {"n1": {}}}))
    _, errors = read_inventory(file)
    assert "unknown key 'port'" in str(errors[0])
    assert "ports" in str(errors[0])
