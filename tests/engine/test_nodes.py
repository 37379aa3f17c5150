"""Hosts as nodes of a cluster: what each is told, and that nobody joins any more once all have parted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.engine.nodes import Admission, Member, Nodes
from orchestrator.fleet.certificates import Authority
from orchestrator.model.address import Address
from orchestrator.model.plan import ClusterPlan
from orchestrator.transport import Completed


class Asked:
    """A way to hosts that says yes to everything, and knows what it was asked."""

    host = "h1"

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.verbs: list[str] = []

    def run(
        self, argv: Sequence[str], *, stdin: bytes | None = None, timeout_s: float | None = None
    ) -> Completed:
        self.verbs.append(argv[2])
        if argv[2] == "join":
            self.orders.append(json.loads(stdin or b""))
        answer = {"why": "", "left": []}
        return Completed(0, json.dumps(answer).encode(), b"")

    def close(self) -> None:
        """There is nothing to close."""


def member(host: str = "10.0.0.7", **labels: str) -> Member:
    return Member(
        Address("h1", host=host, ray="/opt/python", labels=labels), "/spool", "/agent.pyz", "/seat.zip"
    )


def order_of(plan: ClusterPlan, who: Member, authority: Authority | None = None) -> dict[str, Any]:
    asked: Any = Asked()
    nodes = Nodes("run", [who], 4, lambda _: asked)
    assert nodes.join(Admission("10.0.0.1:6379", "secret", plan, authority)) == ["h1"]
    (order,) = asked.orders
    return dict(order)


def test_a_node_has_the_labels_of_its_host_that_ray_can_have() -> None:
    told = order_of(ClusterPlan(), member(rack="a", host="other", owner="not this one", empty=""))
    assert told["labels"] == {"rack": "a", "host": "h1"}
    assert (told["options"], told["files"]) == ({}, {})
    assert "RAY_USE_TLS" not in told["env"]


def test_a_node_is_told_its_ports_its_size_and_how_soon_it_is_dead() -> None:
    plan = ClusterPlan(health="short", ports=[20000, 20099], object_store_bytes=1 << 28)
    told = order_of(plan, member())
    ports = {name: int(value) for name, value in told["options"].items()}
    first, last = ports.pop("min-worker-port"), ports.pop("max-worker-port")
    assert sorted(ports.values()) == list(range(20001, 20007))
    assert (first, last) == (20007, 20099)
    assert told["object_store_bytes"] == 1 << 28
    assert told["env"]["RAY_health_check_failure_threshold"] == "3"


def test_a_node_that_speaks_tls_has_papers_for_the_address_that_is_dialled() -> None:
    plan = ClusterPlan(tls=True)
    told = order_of(plan, member(), Authority())
    assert told["address"] == "10.0.0.7"
    assert told["env"]["RAY_USE_TLS"] == "1"
    assert set(told["files"]) == {"RAY_TLS_CA_CERT", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY"}


def test_a_host_without_an_address_cannot_have_a_certificate_and_it_is_said() -> None:
    asked: Any = Asked()
    nodes = Nodes("run", [member(host="no..host")], 4, lambda _: asked)
    assert nodes.join(Admission("10.0.0.1:6379", "secret", ClusterPlan(tls=True), Authority())) == []
    assert "a certificate needs one" in nodes.why["h1"]
    assert asked.verbs == []


@pytest.mark.parametrize("only", [None, ["h1"]])
def test_nobody_joins_once_all_have_parted(only: list[str] | None) -> None:
    """A host that was lost joins again from a thread of its own, while the run may come to its end."""
    asked: Any = Asked()
    nodes = Nodes("run", [member()], 4, lambda _: asked)
    assert nodes.part() == {"h1": ""}
    assert nodes.join(Admission("10.0.0.1:6379", "secret", ClusterPlan()), only) == []
    assert asked.verbs == ["part"]
