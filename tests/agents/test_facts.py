"""What the agent tells of a machine, on trees of machines that we do not have."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import facts
from agents.virtualisation import virtualisation
from agents.wire import Cpu, Facts, Node, decode, dumps, encode

MACHINES = sorted((Path(__file__).parent / "machines").glob("*.json"))


def plant(root: Path, files: dict[str, str]) -> None:
    for name, contents in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(contents + "\n")


@pytest.mark.parametrize("case", MACHINES, ids=lambda p: p.stem)
def test_facts_of_a_machine(case: Path, tmp_path: Path) -> None:
    machine: dict[str, Any] = json.loads(case.read_text())
    plant(tmp_path, machine["files"])
    allowed = set(range(999)) if machine["allowed"] is None else set(machine["allowed"])
    found = facts.collect(str(tmp_path), str(tmp_path), allowed)
    expected = machine["expected"]
    expected["cpus"] = [Cpu(*row) for row in expected["cpus"]]
    if "nodes" in expected:
        expected["nodes"] = [Node(*row) for row in expected["nodes"]]
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("case", MACHINES, ids=lambda p: p.stem)
def test_a_core_is_named_once_in_its_package_and_each_cpu_has_a_node(case: Path, tmp_path: Path) -> None:
    machine: dict[str, Any] = json.loads(case.read_text())
    plant(tmp_path, machine["files"])
    found = facts.collect(str(tmp_path), str(tmp_path), set())
    assert {c.node for c in found.cpus} <= {n.node for n in found.nodes}
    assert all(len(n.distances) == len(found.nodes) for n in found.nodes)
    assert sorted(c for n in found.nodes for c in n.cpus) == [c.cpu for c in found.cpus]
    siblings: dict[tuple[int, int], set[str]] = {}
    for c in found.cpus:
        where = tmp_path / f"sys/devices/system/cpu/cpu{c.cpu}/topology/core_cpus_list"
        siblings.setdefault((c.package, c.core), set()).add(
            where.read_text() if where.exists() else str(c.cpu)
        )
    assert all(len(s) == 1 for s in siblings.values())


@pytest.mark.parametrize("case", MACHINES, ids=lambda p: p.stem)
def test_any_file_may_be_missing_or_nonsense(case: Path, tmp_path: Path) -> None:
    files: dict[str, str] = json.loads(case.read_text())["files"]
    for number, victim in enumerate(sorted(files)[:: max(1, len(files) // 12)]):
        for way, contents in (("missing", None), ("nonsense", "\0[,-: ü 99999999999999999999x")):
            root = tmp_path / f"{number}-{way}"
            plant(root, {k: v for k, v in files.items() if k != victim})
            if contents is not None:
                plant(root, {victim: contents})
            found = facts.collect(str(root), str(root), {0})
            assert found.cpus
            assert found.nodes


def test_cpus_are_told_apart_by_the_last_cache_that_they_share(tmp_path: Path) -> None:
    def cache(cpu: int, index: int, level: int, kind: str, shared: str) -> dict[str, str]:
        where = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}/"
        return {where + "level": str(level), where + "type": kind, where + "shared_cpu_list": shared}

    files = {"sys/devices/system/cpu/online": "0-4"}
    for cpu in range(4):
        last = "0-1" if cpu < 2 else "2-3"
        files |= cache(cpu, 0, 1, "Data", str(cpu)) | cache(cpu, 1, 1, "Instruction", str(cpu))
        files |= cache(cpu, 2, 3, "Unified", last) | cache(cpu, 3, 2, "Unified", str(cpu))
    plant(tmp_path, files)
    found = facts.collect(str(tmp_path), str(tmp_path), {0})
    assert [c.last_cache for c in found.cpus] == [0, 0, 2, 2, -1]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 0.0),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 0.0),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "150000 100000"}, 1.5),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/cpu.max": "150000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000",
            },
            1.5,
        ),
        (
            {
                "proc/self/cgroup": "9:memory:/x\n4:cpu,cpuacct:/x",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            2.0,
        ),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "100000 0"}, 0.0),
    ],
)
def test_the_smallest_quota_of_the_control_groups_around_counts(
    files: dict[str, str], expected: float, tmp_path: Path
) -> None:
    plant(tmp_path, files)
    assert facts.quota_cpus(tmp_path) == expected


def test_facts_of_this_machine_pass_the_wire() -> None:
    found = facts.collect("/nowhere/yet")
    assert decode(Facts, json.loads(dumps(encode(found)))) == found
    assert {c.cpu for c in found.cpus if c.allowed} == os.sched_getaffinity(0)
    assert found.memory_bytes > 0
    assert found.spool_free_bytes > 0
    assert found.boot_id


def test_what_decides_placement_is_the_same_twice() -> None:
    now = {"clock_s", "free_memory_bytes", "spool_free_bytes", "uptime_s", "load_1m"}
    first, second = (dataclasses.asdict(facts.collect("/")) for _ in range(2))
    assert {k: v for k, v in first.items() if k not in now} == {
        k: v for k, v in second.items() if k not in now
    }


@given(st.sets(st.integers(0, 2000)))
def test_a_cpu_list_is_read_back(cpus: set[int]) -> None:
    ordered = sorted(cpus)
    ranges: list[list[int]] = []
    for c in ordered:
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    text = ",".join(f"{a}-{b}" if b > a else str(a) for a, b in ranges)
    assert facts.cpu_list(text) == ordered


GUEST = {"flags": "fpu hypervisor", "model name": "Some CPU"}
METAL = {"flags": "fpu", "model name": "Some CPU"}
ARM = {"CPU implementer": "0x41"}
VENDOR, PRODUCT = "sys/class/dmi/id/sys_vendor", "sys/class/dmi/id/product_name"
CLOCKS = "sys/devices/system/clocksource/clocksource0/available_clocksource"


@pytest.mark.parametrize(
    ("info", "files", "expected"),
    [
        (METAL, {}, ""),
        (GUEST, {}, "unknown"),
        (GUEST, {CLOCKS: "tsc kvm-clock"}, "kvm"),
        (GUEST, {VENDOR: "QEMU", CLOCKS: "kvm-clock tsc"}, "kvm"),
        (GUEST, {VENDOR: "QEMU", CLOCKS: "tsc"}, "qemu-tcg"),
        ({**GUEST, "model name": "QEMU TCG CPU version 2.5+"}, {}, "qemu-tcg"),
        (GUEST, {VENDOR: "VMware, Inc."}, "vmware"),
        (GUEST, {VENDOR: "innotek GmbH"}, "virtualbox"),
        (GUEST, {VENDOR: "Microsoft Corporation", PRODUCT: "Virtual Machine"}, "hyperv"),
        (GUEST, {VENDOR: "Xen", PRODUCT: "HVM domU"}, "xen"),
        (GUEST, {"sys/hypervisor/type": "xen"}, "xen"),
        (METAL, {VENDOR: "Amazon EC2", PRODUCT: "m5.metal"}, ""),
        (METAL, {VENDOR: "Microsoft Corporation", PRODUCT: "Surface"}, ""),
        (ARM, {}, ""),
        (ARM, {VENDOR: "QEMU", PRODUCT: "KVM Virtual Machine"}, "kvm"),
        (ARM, {VENDOR: "QEMU", PRODUCT: "QEMU Virtual Machine"}, "qemu"),
        (ARM, {VENDOR: "Amazon EC2", PRODUCT: "c6g.large"}, "kvm"),
        (ARM, {VENDOR: "Amazon EC2", PRODUCT: "c6g.metal"}, ""),
        (ARM, {"proc/device-tree/hypervisor/compatible": "linux,kvm"}, "kvm"),
        ({"CPU implementer": "0x00"}, {}, "qemu-tcg"),
    ],
)
def test_the_hypervisor_as_far_as_it_shows(
    info: dict[str, str], files: dict[str, str], expected: str, tmp_path: Path
) -> None:
    plant(tmp_path, files)
    assert virtualisation(tmp_path, info) == expected
