"""The oracles of the churn bench: silent on a table that keeps the contract, and each planted fault is seen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness_calls import Said, read_records

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"

#: sources of benches, which need the kernel
OF_BENCHES = ("bench_", "arm_", "tuned_", "pdac_mix")

#: planted fault → contracts of which at least one must be named in the evidence
FAULTS = {
    "revoke_nothing": {"C1"},
    "revoke_alone": {"C1"},
    "child_active_under_revoked_parent": {"C1"},
    "attenuate_alone": {"C2"},
    "delegate_excess": {"C2"},
    "delegate_unasked": {"C2"},
    "grant_to_child": {"C2"},
    "reuse_answers": {"C1", "C3"},
    "check_forgets": {"C3"},
    "lookup_neighbour": {"C3"},
    "delete_nothing": {"C3"},
    "delete_parent": {"C5"},
    "created_uncounted": {"C5"},
    "slots_leak": {"C5"},
    "transfer_widens": {"C2"},
    "transfer_copies": {"C1"},
    "batch_finds_absent": {"C6"},
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harness with the faulty bench alone."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "build_id.h").write_text('#define ORCH_BUILD_ID "faulty"\n')
    sources = [p for p in sorted((NATIVE / "harness").glob("*.c")) if not p.name.startswith(OF_BENCHES)]
    sources += [NATIVE / "kernel" / name for name in ("atomics.c", "cpu_features.c", "status.c")]
    sources += sorted((NATIVE / "kernel").glob("numa*.c"))
    sources += [Path(__file__).parent / "bench_faulty_churn.c"]
    program = folder / "faulty"
    flags = ["-std=c17", "-O2", "-D_GNU_SOURCE=", '-DORCH_VARIANT="faulty"', "-pthread", "-Wall", "-Werror"]
    includes = [f"-I{p}" for p in (folder, NATIVE / "include", NATIVE / "harness")]
    subprocess.run(["gcc", *flags, *includes, *map(str, sources), "-o", str(program)], check=True)
    return program


def churn(program: Path, fault: str, seconds: str, *more: str) -> Said:
    arguments = [
        "run",
        "faulty_churn",
        "--threads",
        "4",
        "--seconds",
        seconds,
        "--warmup",
        "0",
        "--interval",
        "0",
        *more,
    ]
    done = subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=880,
        env=os.environ | {"ORCH_FAULT": fault},
    )
    return Said(done.returncode, read_records(done.stdout), done.stderr)


def test_a_table_that_keeps_the_contract_is_not_accused(faulty: Path) -> None:
    said = churn(faulty, "", "2")
    assert said.of("violation") == []
    assert (said.status, said.result["status"]) == (0, "ok")
    counters = {c["name"]: c["value"] for c in said.of("counter")}
    operations = (
        "checks",
        "creates",
        "grants",
        "attenuates",
        "delegates",
        "revokes",
        "deletes",
        "transfers",
        "batches",
    )
    assert all(counters[name] > 0 for name in operations)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(faulty: Path, fault: str) -> None:
    for seconds in ("0.5", "2", "8", "32"):  # longer where a busy machine lets the threads do little
        said = churn(faulty, fault, seconds)
        shown = said.of("violation")
        if {v["contract"] for v in shown} & FAULTS[fault]:
            break
    assert {v["contract"] for v in shown} & FAULTS[fault], shown
    assert said.status == 1
    assert said.result["status"] == "violated"
    assert 1 <= len(shown) <= 16
    assert said.result["violations"] >= len(shown)
    for violation in shown:
        assert violation["evidence"]
        assert 0 <= violation["thread"] < 4
        assert violation["t"] >= 0


def test_who_spins_for_a_frozen_worker_is_seen_by_the_time_it_burns(faulty: Path) -> None:
    for seconds in ("3", "3", "12"):  # longer where a busy machine lets the threads do little
        said = churn(faulty, "lock_spins", seconds, "--set", "stall_ms=10", "--set", "stall_every_ms=10")
        shown = said.of("violation")
        if shown:
            break
    assert {v["contract"] for v in shown} == {"C4"}
    assert "ms of CPU" in shown[0]["evidence"]


def test_a_spinning_lock_is_nobody_s_fault_while_nobody_is_frozen(faulty: Path) -> None:
    assert churn(faulty, "lock_spins", "0.5").of("violation") == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["sleeps_on", "runs_on"])
def test_who_does_not_come_to_an_end_is_stuck(faulty: Path, fault: str) -> None:
    said = churn(faulty, fault, "0.1")
    assert (said.status, said.result["status"]) == (1, "error")
    assert said.result["message"].endswith("of the end of the window: stuck")
