"""Threads get CPUs of their own, only such as may be used, exactly as many as asked; or a reason."""

from __future__ import annotations

import random

import made_up_hosts as hosts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.wire import Cpu, Node
from orchestrator.planning.place import Topology, place, topology


def host(nodes: int, cores: int, siblings: int = 1, forbidden: frozenset[int] = frozenset()) -> Topology:
    cpus = hosts.cpus_of(nodes, cores, siblings, forbidden)
    return topology(cpus, hosts.nodes_of(cpus, nodes))


#: the host that docs/reference/placement.md draws
DRAWN = host(2, 2, 2)


@pytest.mark.parametrize(
    ("placement", "threads", "cpus", "mem"),
    [
        ("compact", 7, [1, 4, 5, 2, 3, 6, 7], "local"),
        ("scatter", 7, [1, 2, 3, 4, 6, 5, 7], "local"),
        ("smt", 7, [1, 5, 2, 6, 3, 7, 4], "local"),
        ("remote", 4, [2, 3, 6, 7], "node:0"),
        ("remote", 3, [1, 4, 5], "node:1"),
        ("node:1", 3, [2, 3, 6], "local"),
        ("nodes:1", 3, [1, 4, 5], "local"),
        ("nodes:1", 4, [2, 3, 6, 7], "local"),
        ("nodes:2", 3, [1, 2, 3], "local"),
        ("cpus:6,1-2", 2, [6, 1], "local"),
        ("none", 99, [], "local"),
    ],
)
def test_the_picture_of_the_manual_is_what_is_done(
    placement: str, threads: int, cpus: list[int], mem: str
) -> None:
    made = place(DRAWN, threads, placement, None)
    assert (list(made.cpus), made.mem, made.skip) == (cpus, mem, "")
    assert made.shares_housekeeping is (placement == "none")


@pytest.mark.parametrize(
    ("placement", "threads", "cpus"),
    [
        ("compact", 8, [0, 1, 4, 5, 2, 3, 6, 7]),
        ("scatter", 8, [1, 2, 3, 4, 6, 5, 7, 0]),
        ("node:0", 4, [0, 1, 4, 5]),
        ("cpus:0", 1, [0]),
    ],
)
def test_the_housekeeping_cpu_is_taken_where_it_must_be_and_that_is_marked(
    placement: str, threads: int, cpus: list[int]
) -> None:
    made = place(DRAWN, threads, placement, None)
    assert list(made.cpus) == cpus
    assert made.shares_housekeeping


def test_the_housekeeping_cpu_is_the_first_that_may_be_used() -> None:
    made = place(host(1, 4, forbidden=frozenset({0, 1})), 1, "compact", None)
    assert made.cpus == (3,)


@pytest.mark.parametrize(
    ("shape", "threads", "placement", "mem", "reason"),
    [
        ((1, 2), 64, "compact", None, "64 threads, the host has 2 CPUs that may be used"),
        ((1, 1), 2, "scatter", None, "2 threads, the host has 1 CPU that may be used"),
        ((1, 2), 1, "remote", None, "remote memory needs 2 NUMA nodes, the host has 1"),
        ((2, 8), 12, "remote", None, "12 threads on one node, the largest has 8 CPUs that may be used"),
        ((2, 2), 1, "node:3", None, "node 3 has no CPU that may be used, the host has nodes 0, 1"),
        ((2, 2), 3, "node:1", None, "3 threads, node 1 has 2 CPUs that may be used"),
        ((2, 2), 4, "nodes:4", None, "4 nodes, the host has 2 with CPUs that may be used"),
        ((4, 2), 2, "nodes:4", None, "2 threads cannot be on 4 nodes"),
        ((4, 2), 5, "nodes:2", None, "5 threads, 2 nodes have 4 CPUs that may be used"),
        ((1, 2), 1, "smt", None, "smt needs cores with two hardware threads, the host has none"),
        ((1, 2), 2, "cpus:0,2", None, "CPU 2 is not there or may not be used"),
        ((1, 2), 2, "cpus:1", None, "2 threads, the list names 1 CPU"),
        ((2, 2), 1, "compact", "node:5", "memory of node 5: there is none, the host has nodes 0, 1"),
    ],
)
def test_what_a_host_cannot_do_is_skipped_with_the_reason(
    shape: tuple[int, int], threads: int, placement: str, mem: str | None, reason: str
) -> None:
    made = place(host(*shape), threads, placement, mem)
    assert (made.skip, made.cpus) == (reason, ())


def test_remote_memory_is_on_the_farthest_node_of_equals_the_first() -> None:
    assert place(host(4, 2), 1, "remote", None).mem == "node:3"
    cpus = hosts.cpus_of(3, 2)
    flat = [Node(n, [], 1 << 30, [10 if m == n else 20 for m in range(3)]) for n in range(3)]
    assert place(topology(cpus, flat), 1, "remote", None).mem == "node:1"


def test_a_node_with_memory_and_no_cpus_can_be_the_remote_one() -> None:
    cpus = hosts.cpus_of(1, 2)
    both = [Node(0, [0, 1], 1 << 30, [10, 40]), Node(1, [], 1 << 30, [40, 10])]
    assert place(topology(cpus, both), 1, "remote", None).mem == "node:1"


def test_so_many_nodes_are_those_that_lie_close_together() -> None:
    cpus = hosts.cpus_of(4, 2)
    # 0 and 2 are neighbours, and 1 and 3
    apart = [[10, 40, 20, 40], [40, 10, 40, 20], [20, 40, 10, 40], [40, 20, 40, 10]]
    square = topology(cpus, [Node(n, [], 1 << 30, apart[n]) for n in range(4)])
    assert place(square, 2, "nodes:2", None).cpus == (1, 4)
    assert place(square, 4, "nodes:2", None).cpus == (2, 6, 3, 7)


PLACEMENTS = st.sampled_from(
    ["compact", "scatter", "remote", "smt", "node:0", "node:1", "nodes:1", "nodes:2"]
)


@st.composite
def shapes(draw: st.DrawFn) -> list[Cpu]:
    nodes, cores, siblings = draw(st.integers(1, 4)), draw(st.integers(1, 8)), draw(st.integers(1, 2))
    forbidden = draw(st.frozensets(st.integers(0, nodes * cores * siblings - 1)))
    cpus: list[Cpu] = hosts.cpus_of(nodes, cores, siblings, forbidden)
    return cpus


@given(shapes(), st.integers(1, 70), PLACEMENTS)
def test_no_cpu_twice_only_allowed_ones_and_exactly_as_many(
    cpus: list[Cpu], threads: int, placement: str
) -> None:
    nodes = 1 + max(c.node for c in cpus)
    made = place(topology(cpus, hosts.nodes_of(cpus, nodes)), threads, placement, None)
    allowed = {c.cpu for c in cpus if c.allowed}
    assert bool(made.skip) != bool(made.cpus)
    assert len(made.cpus) in (0, threads)
    assert len(set(made.cpus)) == len(made.cpus)
    assert set(made.cpus) <= allowed
    if made.cpus:
        assert made.shares_housekeeping == (min(allowed) in made.cpus)
    if placement in ("compact", "scatter"):
        assert bool(made.cpus) == (threads <= len(allowed))
        assert made.shares_housekeeping == (threads == len(allowed))


@given(shapes(), st.integers(1, 20), PLACEMENTS, st.randoms(use_true_random=False))
def test_the_order_in_which_a_host_lists_its_cpus_changes_nothing(
    cpus: list[Cpu], threads: int, placement: str, order: random.Random
) -> None:
    nodes = hosts.nodes_of(cpus, 1 + max(c.node for c in cpus))
    before = place(topology(cpus, nodes), threads, placement, None)
    order.shuffle(cpus)
    order.shuffle(nodes)
    assert place(topology(cpus, nodes), threads, placement, None) == before
