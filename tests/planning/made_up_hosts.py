"""Facts of made-up hosts."""

from __future__ import annotations

from typing import Any

from agents.wire import PROTOCOL, Cpu, Facts, Node


def cpus_of(nodes: int, cores: int, siblings: int = 1, forbidden: frozenset[int] = frozenset()) -> list[Cpu]:
    """``cores`` on each node; siblings are numbered last, as Linux does it."""
    total = nodes * cores
    return [
        Cpu(t * total + c, c % cores, c // cores, c // cores, (t * total + c) not in forbidden)
        for t in range(siblings)
        for c in range(total)
    ]


def nodes_of(cpus: list[Cpu], nodes: int) -> list[Node]:
    return [
        Node(n, [c.cpu for c in cpus if c.node == n], 1 << 34, [10 + 10 * abs(m - n) for m in range(nodes)])
        for n in range(nodes)
    ]


def facts(nodes: int = 1, cores: int = 2, siblings: int = 1, **changes: Any) -> Facts:
    cpus = cpus_of(nodes, cores, siblings, changes.pop("forbidden", frozenset()))
    given: dict[str, Any] = {
        **dict.fromkeys(
            (
                "hostname",
                "cpu_model",
                "kernel",
                "os",
                "python",
                "libc",
                "virtualisation",
                "governor",
                "smt",
                "thp",
            ),
            "",
        ),
        **dict.fromkeys(("numa_balancing", "aslr", "microcode", "boot_id"), ""),
        **dict.fromkeys(("clock_s", "uptime_s", "load_1m"), 0.0),
        **dict.fromkeys(("free_memory_bytes", "spool_free_bytes"), 0),
        "protocol": PROTOCOL,
        "arch": "x86_64",
        "cpu_flags": ["avx2"],
        "cpus": cpus,
        "nodes": nodes_of(cpus, nodes),
        "caches": {},
        "memory_bytes": nodes << 34,
    }
    return Facts(**{**given, **changes})
