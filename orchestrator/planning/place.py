"""Where the threads of a step go on one host, from its own topology. docs/reference/placement.md draws it.

The first CPU that may be used is the housekeeping CPU: agent and Ray keep to it, and a placement takes it
only where there is no other way left to seat all threads. That is marked, because the measured threads
then share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from agents.wire import Cpu, Facts, Node
from orchestrator.model.placement import cpu_list, node_of, nodes_in


@dataclass(frozen=True)
class Seating:
    """``cpus`` in thread order. ``skip`` says why the host cannot do it, "" where it can."""

    cpus: tuple[int, ...] = ()
    mem: str = "local"
    skip: str = ""
    shares_housekeeping: bool = False


@dataclass(frozen=True)
class Seat:
    """One CPU that may be used. ``rank``: 0 for the first hardware thread of its core, 1 for the next …"""

    cpu: int
    node: int
    core: tuple[int, int]
    rank: int


@dataclass(frozen=True)
class Topology:
    """The part of the facts that decides placement; equal topologies place alike."""

    #: ordered by node, core, rank
    seats: tuple[Seat, ...]
    #: node → (memory in bytes, distances in node order)
    nodes: tuple[tuple[int, int, tuple[int, ...]], ...]
    housekeeping: int

    @property
    def node_ids(self) -> list[int]:
        return list(dict.fromkeys(s.node for s in self.seats))


def topology_key(facts: Facts) -> tuple[object, ...]:
    """Equal for hosts that have the same topology, quick to make."""
    cpus = tuple([(c.cpu, c.core, c.package, c.node, c.allowed) for c in facts.cpus])
    return cpus, tuple([(n.node, n.memory_bytes > 0, tuple(n.distances)) for n in facts.nodes])


def topology(cpus: Iterable[Cpu], nodes: Iterable[Node]) -> Topology:
    usable = sorted((c for c in cpus if c.allowed), key=lambda c: (c.node, c.package, c.core, c.cpu))
    seats: list[Seat] = []
    threads: dict[tuple[int, int, int], int] = {}
    for c in usable:
        key = (c.node, c.package, c.core)
        threads[key] = threads.get(key, -1) + 1
        seats.append(Seat(c.cpu, c.node, (c.package, c.core), threads[key]))
    known = tuple((n.node, n.memory_bytes, tuple(n.distances)) for n in sorted(nodes, key=lambda n: n.node))
    return Topology(tuple(seats), known, min((c.cpu for c in usable), default=-1))


def place(host: Topology, threads: int, placement: str, mem: str | None) -> Seating:
    """``placement`` and ``mem`` as checked by `model.placement`; ``mem`` None: what the placement means."""
    if placement == "none":
        return _with_memory(host, Seating(shares_housekeeping=True), mem)
    if placement.startswith("cpus:"):
        made = _explicit(host, threads, cpu_list(placement))
    elif threads > len(host.seats):
        made = Seating(skip=f"{_threads(threads)}, the host has {_cpus(len(host.seats))} that may be used")
    elif placement == "remote":
        made = _remote(host, threads)
    elif (node := node_of(placement)) is not None:
        made = _on_node(host, threads, node)
    elif (count := nodes_in(placement)) is not None:
        made = _on_nodes(host, threads, count)
    elif placement == "smt" and not any(s.rank for s in host.seats):
        made = Seating(skip="smt needs cores with two hardware threads, the host has none")
    else:
        made = _take(host, threads, _ORDERS[placement](host.seats, host.housekeeping))
    return made if made.skip else _with_memory(host, made, mem)


def _take(host: Topology, threads: int, order: Sequence[Seat], mem: str = "local") -> Seating:
    """The first ``threads`` of the order, the housekeeping CPU last of all."""
    free = [s.cpu for s in order if s.cpu != host.housekeeping]
    if threads <= len(free):
        return Seating(tuple(free[:threads]), mem)
    # all of them are needed: then in the placement's own order
    return Seating(tuple(s.cpu for s in order), mem, shares_housekeeping=True)


# -- orders ----------------------------------------------------------------------------------------------


def _compact(seats: Sequence[Seat], _housekeeping: int) -> list[Seat]:
    """Node by node; within a node one thread on each core first, then their siblings."""
    return sorted(seats, key=lambda s: (s.node, s.rank, s.core, s.cpu))


def _scatter(seats: Sequence[Seat], housekeeping: int) -> list[Seat]:
    """Round robin over the nodes; one thread on each core of all nodes first, then their siblings."""
    made: list[Seat] = []
    for rank in sorted({s.rank for s in seats}):
        level = [s for s in seats if s.rank == rank and s.cpu != housekeeping]
        per_node = [[s for s in level if s.node == n] for n in sorted({s.node for s in level})]
        made += [s for turn in zip_longest(*per_node) for s in turn if s is not None]
    return made + [s for s in seats if s.cpu == housekeeping]


def _smt(seats: Sequence[Seat], housekeeping: int) -> list[Seat]:
    """Core by core, all hardware threads of a core one after the other; the core of the housekeeping CPU
    last, so that no pair is torn apart by it."""
    shared = {s.core for s in seats if s.cpu == housekeeping}
    return sorted(seats, key=lambda s: (s.core in shared, s.node, s.core, s.rank))


_ORDERS: dict[str, Callable[[Sequence[Seat], int], list[Seat]]] = {
    "compact": _compact,
    "scatter": _scatter,
    "smt": _smt,
}


# -- one node, two nodes, a list -------------------------------------------------------------------------


def _on_node(host: Topology, threads: int, node: int) -> Seating:
    here = [s for s in host.seats if s.node == node]
    if not here:
        return Seating(skip=f"node {node} has no CPU that may be used, {_nodes(host.node_ids)}")
    if threads > len(here):
        return Seating(skip=f"{_threads(threads)}, node {node} has {_cpus(len(here))} that may be used")
    return _take(host, threads, _compact(here, host.housekeeping))


def _on_nodes(host: Topology, threads: int, count: int) -> Seating:
    """Round robin over ``count`` nodes that lie close together: the first such set that can seat the threads without the housekeeping
    CPU, or else with it."""
    if count > len(host.node_ids):
        return Seating(skip=f"{count} nodes, the host has {len(host.node_ids)} with CPUs that may be used")
    if threads < count:
        return Seating(skip=f"{_threads(threads)} cannot be on {count} nodes")
    sets = list(dict.fromkeys(_near(host, first, count) for first in host.node_ids))
    seats = [[s for s in host.seats if s.node in nodes] for nodes in sets]
    able = [one for one in seats if len(one) >= threads]
    if not able:
        most = max(len(one) for one in seats)
        return Seating(skip=f"{_threads(threads)}, {count} nodes have {_cpus(most)} that may be used")
    without = [one for one in able if sum(s.cpu != host.housekeeping for s in one) >= threads]
    return _take(host, threads, _scatter((without or able)[0], host.housekeeping))


def _near(host: Topology, first: int, count: int) -> frozenset[int]:
    """``first`` and the nodes with CPUs that are nearest to it, of equals those with the lowest numbers."""
    order = sorted(host.node_ids, key=lambda n: (n != first, _distance(host, first, n), n))
    return frozenset(order[:count])


def _remote(host: Topology, threads: int) -> Seating:
    """Threads on the first node that can seat them without the housekeeping CPU, or else with it; memory
    on the node farthest from it, of equals the first."""
    with_memory = [n for n, memory, _ in host.nodes if memory > 0]
    if len({*with_memory, *host.node_ids}) < 2 or not with_memory:
        return Seating(skip=f"remote memory needs 2 NUMA nodes, the host has {len(host.nodes) or 1}")
    sizes = {n: [s.cpu for s in host.seats if s.node == n] for n in host.node_ids}
    able = [n for n in host.node_ids if len(sizes[n]) >= threads and set(with_memory) - {n}]
    if not able:
        most = max(len(cpus) for cpus in sizes.values())
        return Seating(
            skip=f"{_threads(threads)} on one node, the largest has {_cpus(most)} that may be used"
        )
    without = [n for n in able if len(set(sizes[n]) - {host.housekeeping}) >= threads]
    node = (without or able)[0]
    far = max((n for n in with_memory if n != node), key=lambda n: (_distance(host, node, n), -n))
    order = _compact([s for s in host.seats if s.node == node], host.housekeeping)
    return _take(host, threads, order, f"node:{far}")


def _distance(host: Topology, a: int, b: int) -> int:
    ids = [n for n, _, _ in host.nodes]
    distances = next((d for n, _, d in host.nodes if n == a), ())
    at = ids.index(b)
    return distances[at] if at < len(distances) else 0


def _explicit(host: Topology, threads: int, cpus: list[int]) -> Seating:
    if threads > len(cpus):
        return Seating(skip=f"{_threads(threads)}, the list names {_cpus(len(cpus))}")
    usable = {s.cpu for s in host.seats}
    missing = next((c for c in cpus[:threads] if c not in usable), None)
    if missing is not None:
        return Seating(skip=f"CPU {missing} is not there or may not be used")
    taken = tuple(cpus[:threads])
    return Seating(taken, shares_housekeeping=host.housekeeping in taken)


def _with_memory(host: Topology, made: Seating, mem: str | None) -> Seating:
    policy = mem or made.mem
    node = node_of(policy)
    ids = [n for n, memory, _ in host.nodes if memory > 0]
    if node is not None and node not in ids:
        return Seating(skip=f"memory of node {node}: there is none, {_nodes(ids)}")
    return Seating(made.cpus, policy, "", made.shares_housekeeping)


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _cpus(n: int) -> str:
    return "1 CPU" if n == 1 else f"{n} CPUs"


def _nodes(ids: Sequence[int]) -> str:
    return "the host has " + ("node " if len(ids) == 1 else "nodes ") + ", ".join(map(str, ids))
