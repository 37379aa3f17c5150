"""The native code on a machine of four NUMA nodes, which is emulated: topology, placement and contracts, never speed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness_calls import Said, read_records
from preset_builds import up_to_date

from orchestrator.lab import guest, initramfs
from orchestrator.lab.guest import Done, Shape

NATIVE = Path(__file__).parents[2] / "native"
RELEASE = NATIVE / "build" / "release"
SHAPE = Shape(16, 4)
HARNESS = "/bin/orch-harness"
TESTS = ("test_numa", "test_scheduler_numa", "test_capability_simd", "test_cpu_features")
LIMIT_S = 1500
pytestmark = [pytest.mark.slow, pytest.mark.native, pytest.mark.timeout(60)]


def run_of(bench: str, threads: int = 16, mem: str = "local", *settings: str) -> list[str]:
    cpus = ",".join(str(cpu) for cpu in range(threads))
    order = [HARNESS, "run", bench, "--threads", str(threads), "--cpus", cpus, "--mem", mem]
    order += ["--seconds", "2", "--warmup", "0.5"]
    return [*order, *(word for setting in settings for word in ("--set", setting))]


#: The benches with an oracle, on all CPUs, and the memory in every way that there is.
CHURNS = {
    " ".join((bench, mem, *settings)): run_of(bench, 16, mem, *settings)
    for bench, mem, *settings in (
        ("scheduler_churn", "local", "numa=flat"),
        ("scheduler_churn", "local", "numa=learned", "queues=own_node"),
        ("scheduler_churn", "node:2", "queues=interleave"),
        ("capability_churn", "local"),
        ("capability_churn", "interleave"),
        ("task_churn", "interleave"),
        ("system_mix", "local"),
        ("kept_churn", "node:1"),
        ("pdac_mix", "interleave"),
    )
}
ORDERS = {
    **{name: [f"/bin/{name}"] for name in TESTS},
    "list": [HARNESS, "list", "--json"],
    "matrix": run_of("numa_matrix", 1, "local", "mib=4"),
    "steal": run_of("op_steal", 2),
    "no such node": run_of("numa_matrix", 1, "node:4"),
    "no such CPU": [HARNESS, "run", "numa_matrix", "--cpus", "16"],
    **CHURNS,
}


@pytest.fixture(scope="module")
def on_guest(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Done]:
    """One guest that does every order. Where this machine lacks an emulator or a kernel, the error says so."""
    guest.kernel()
    targets = ["orch-guest-init", "orch-harness", *TESTS]
    up_to_date("release", *targets)
    init = RELEASE / "orch-guest-init"
    files = initramfs.with_libraries([RELEASE / name for name in ("orch-harness", *TESTS)])
    folder = tmp_path_factory.mktemp("guest")
    orders = list(ORDERS.values())
    done_all = guest.run(SHAPE, init, files, orders, folder, limit_s=LIMIT_S, kvm=guest.kvm_works(init))
    return dict(zip(ORDERS, done_all, strict=True))


def records_of(done: Done) -> Said:
    assert done.status == 0, done.output
    return Said(done.status, read_records(done.output + "\n"), "")


@pytest.mark.parametrize("name", TESTS)
def test_the_c_test_passes(on_guest: Mapping[str, Done], name: str) -> None:
    assert on_guest[name].status == 0, on_guest[name].output


def test_memory_that_is_bound_to_a_node_is_found_there(on_guest: Mapping[str, Done]) -> None:
    for node in range(SHAPE.nodes):
        assert f"node {node}: bind ok, found on {node} of {SHAPE.nodes}" in on_guest["test_numa"].output


def test_the_queues_of_a_cpu_are_found_on_its_node(on_guest: Mapping[str, Done]) -> None:
    for cpu in range(SHAPE.cpus):
        node = next(node for node in range(SHAPE.nodes) if cpu in SHAPE.cpus_of(node))
        words = f"CPU {cpu}: queues asked for on node {node}, found on {node}, {node} and {node}"
        assert words in on_guest["test_scheduler_numa"].output


def test_the_matrix_has_every_pair_of_nodes(on_guest: Mapping[str, Done]) -> None:
    said = records_of(on_guest["matrix"])
    counters = {record["name"]: record["value"] for record in said.of("counter")}
    assert (counters["nodes"], counters["nodes_with_memory"]) == (SHAPE.nodes, SHAPE.nodes)
    for a in range(SHAPE.nodes):
        for b in range(SHAPE.nodes):
            assert said.metrics[f"latency_{a}_{b}_ns"] > 0
            assert said.metrics[f"bandwidth_{a}_{b}"] > 0


@pytest.mark.parametrize("name", CHURNS)
def test_no_contract_breaks_on_sixteen_cpus(on_guest: Mapping[str, Done], name: str) -> None:
    said = records_of(on_guest[name])
    assert said.result["violations"] == 0
    assert said.result["ops"] > 0
    assert said.of("hello")[0]["cpus"] == list(range(SHAPE.cpus))


def test_every_arm_of_stealing_runs(on_guest: Mapping[str, Done]) -> None:
    said = records_of(on_guest["steal"])
    assert said.metrics["ours_ns"] > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("no such node", "node 4 does not exist or has no memory"), ("no such CPU", "CPU 16 does not exist")],
)
def test_what_the_guest_lacks_is_refused_in_one_line(
    on_guest: Mapping[str, Done], name: str, words: str
) -> None:
    done = on_guest[name]
    assert done.status == 2
    assert words in done.output
    assert len(done.output.splitlines()) == 1


def test_the_harness_lists_the_same_benches_as_here(on_guest: Mapping[str, Done]) -> None:
    here = subprocess.run(
        [str(RELEASE / "orch-harness"), "list", "--json"], capture_output=True, text=True, check=True
    )
    assert on_guest["list"].output == here.stdout.strip()
