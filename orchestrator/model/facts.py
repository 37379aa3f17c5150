"""What expressions may know of a host: the stable part of its facts, and what the inventory says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from agents.wire import Facts
from orchestrator.model.address import Address

#: name → what it is; free memory, load and clocks are left out because a plan must not depend on them
FACT_NAMES: dict[str, str] = {
    "host": "inventory name",
    "labels": "labels of the inventory, labels.rack",
    "hostvars": "variables of the inventory, hostvars.owner",
    "emulated": "its speed means nothing: the inventory says so, or it is an emulator",
    "cpus": "CPUs that may be used",
    "cores": "cores that these belong to",
    "packages": "sockets that these belong to",
    "numa_nodes": "NUMA nodes that these belong to",
    "cpus_per_node": "CPUs that may be used, on the node that has fewest of them",
    "farthest": "largest distance between two nodes, 10 where there is one",
    "numa_shape": 'CPUs x nodes, "16x4"',
    "last_caches": "last caches that these belong to, 0 where the kernel does not tell",
    "quota": "CPUs' worth of time that it may have at most, cpus where there is no such limit",
    "memory": "bytes",
    "arch": "x86_64, aarch64",
    "cpu_model": "as the kernel names it",
    "cpu_flags": 'list, "avx2" in cpu_flags',
    "kernel": "release",
    "os": "distribution",
    "python": "version of the agent's Python",
    "virtualisation": "empty on bare metal",
    "governor": "frequency governor, empty where there is none",
    "smt": "on, off, …",
    "thp": "transparent huge pages",
    "numa_balancing": "as the kernel says",
    "microcode": "revision",
}


def names_of(address: Address, facts: Facts, hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """Every name of `FACT_NAMES` with its value on this host."""
    usable = [c for c in facts.cpus if c.allowed]
    per_node = Counter(c.node for c in usable)
    return {
        "host": address.name,
        "labels": address.labels,
        "hostvars": hostvars,
        "emulated": address.emulated or "tcg" in facts.virtualisation,
        "cpus": len(usable),
        "cores": len({(c.package, c.core) for c in usable}),
        "packages": len({c.package for c in usable}),
        "numa_nodes": len(per_node),
        "cpus_per_node": min(per_node.values(), default=0),
        "farthest": max((d for n in facts.nodes for d in n.distances), default=10),
        "numa_shape": f"{len(usable)}x{len(per_node)}",
        "last_caches": len({c.last_cache for c in usable} - {-1}),
        "quota": facts.quota_cpus or float(len(usable)),
        "memory": facts.memory_bytes,
        "arch": facts.arch,
        "cpu_model": facts.cpu_model,
        "cpu_flags": facts.cpu_flags,
        "kernel": facts.kernel,
        "os": facts.os,
        "python": facts.python,
        "virtualisation": facts.virtualisation,
        "governor": facts.governor,
        "smt": facts.smt,
        "thp": facts.thp,
        "numa_balancing": facts.numa_balancing,
        "microcode": facts.microcode,
    }
