"""`lease` and `tune` of a playbook: short forms, bounds, and what is wrong said in words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.model.playbook import Playbook

BOOK: dict[str, Any] = {"orch": 1, "name": "x", "jobs": [{"name": "j", "workload": "command"}]}


def book(**more: Any) -> Playbook:
    return Playbook.model_validate({**BOOK, **more})


def test_without_a_word_no_host_is_held() -> None:
    assert book().lease is None
    assert book(lease="none").lease is None


def test_a_duration_is_the_longest_that_a_host_is_held() -> None:
    lease = book(lease="6h").lease
    assert lease is not None
    assert (lease.longest, lease.busy, lease.patience, lease.ttl) == (21600.0, "wait", 600.0, 60.0)


def test_on_and_off_of_yaml_are_words() -> None:
    assert book(lease="1h", tune={"smt": False, "numa_balancing": True, "irqs": 0}).tune == {
        "smt": "off",
        "numa_balancing": "on",
        "irqs": "0",
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"lease": {"for": "1h", "busy": "panic"}}, "'wait', 'skip' or 'fail'"),
        ({"lease": {"ttl": "1s"}}, "ttl: shorter than 2s"),
        ({"lease": {"for": "0s"}}, "more than 0s"),
        ({"lease": "1h", "tune": {"turbo": "off"}}, "turbo"),
        ({"lease": "1h", "tune": {"aslr": "half"}}, "half"),
        ({"lease": "1h", "tune": {"governor": "a;thp=never"}}, "expected a word"),
        ({"lease": "1h", "tune": ["smt"]}, "expected settings"),
        ({"tune": {"smt": "off"}}, "tune without `lease`"),
    ],
)
def test_what_is_wrong_is_said(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        book(**more)
