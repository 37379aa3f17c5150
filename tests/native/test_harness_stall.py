"""The oracle of C4: a worker is frozen wherever it is, and the others must go on."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_calls import PATIENCE_S, Harness, Said, read_records

pytestmark = pytest.mark.native

VARIANTS = ["release", "asan", "tsan"]
#: Freezes one after the other, with hardly a pause.
OFTEN = ("--set", "stall_ms=10", "--set", "stall_every_ms=10")
#: Everything but checks: somebody is nearly always inside the table.
CHANGES = ("--set", "check=0")
#: A freeze that misses the critical section shows nothing; so many runs that all miss are beyond chance.
ATTEMPTS = 6


def arguments(bench: str, *more: str, seconds: str = "1", threads: int = 4) -> list[str]:
    window = ["--seconds", seconds, "--warmup", "0", "--interval", "0", "--threads", str(threads)]
    return ["run", bench, *window, *more]


def contracts(said: Said) -> list[str]:
    named: list[str] = said.of("hello")[0]["contracts"]
    return named


def counters(said: Said) -> dict[str, float]:
    return {c["name"]: c["value"] for c in said.of("counter")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_whoever_is_frozen_in_the_lock_free_table_the_others_go_on(harness: Harness, variant: str) -> None:
    said = harness(*arguments("capability_churn", *OFTEN), variant=variant)
    assert (said.status, said.errors, said.of("violation")) == (0, "", [])
    assert contracts(said) == ["C1", "C2", "C3", "C4", "C5", "C6"]
    assert counters(said)["stalls"] >= 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lock_is_seen_by_who_waits_for_its_frozen_holder(harness: Harness, variant: str) -> None:
    for seed in range(ATTEMPTS):
        call = arguments("baseline_churn", *OFTEN, *CHANGES, "--seed", str(seed))
        said = harness(*call, variant=variant)
        if said.of("violation"):
            break
    assert (said.status, said.result["status"]) == (1, "violated")
    assert {v["contract"] for v in said.of("violation")} == {"C4"}
    for violation in said.of("violation"):
        assert f"worker {violation['thread']} frozen" in violation["evidence"]
        assert "ended no operation" in violation["evidence"]


def test_c4_is_claimed_only_where_workers_are_frozen(harness: Harness, listing: dict[str, Any]) -> None:
    listed = {b["name"]: b["contracts"] for b in listing["benches"]}
    assert "C4" in listed["capability_churn"]
    assert listed["baseline_churn"] == ["C1", "C2", "C3", "C5", "C6"]
    for said in (
        harness(*arguments("capability_churn", *OFTEN, seconds="0.3", threads=1)),
        harness(*arguments("capability_churn", "--set", "stall_ms=0", seconds="0.3")),
        harness(*arguments("capability_churn", *OFTEN, seconds="0.05")),
        harness(*arguments("baseline_churn", seconds="0.3")),
    ):
        assert said.result["status"] == "ok"
        assert contracts(said) == ["C1", "C2", "C3", "C5", "C6"]
        assert "stalls" not in counters(said)


def test_even_a_short_run_with_the_standard_settings_freezes_somebody(harness: Harness) -> None:
    said = harness(*arguments("capability_churn", seconds="0.5", threads=2))
    assert "C4" in contracts(said)
    assert counters(said)["stalls"] + counters(said)["stalls_unjudged"] >= 1


def test_a_process_that_is_not_run_for_a_while_is_not_accused(built: Mapping[str, Path]) -> None:
    """More threads than CPUs, on one CPU, and now and then the whole process is stopped."""
    call = arguments("capability_churn", *OFTEN, "--cpus", ",".join(["0"] * 8), threads=8, seconds="1.5")
    with subprocess.Popen([str(built["release"]), *call], stdout=subprocess.PIPE, text=True) as process:
        ended = threading.Event()

        def stop_and_go() -> None:
            while not ended.wait(0.05):
                process.send_signal(signal.SIGSTOP)
                time.sleep(0.12)
                process.send_signal(signal.SIGCONT)

        beside = threading.Thread(target=stop_and_go)
        beside.start()
        assert process.stdout is not None
        text = process.stdout.read()
        ended.set()
        beside.join()
        process.wait(timeout=PATIENCE_S)
    said = Said(process.returncode, read_records(text), "")
    assert (said.status, said.of("violation")) == (0, [])
    assert counters(said)["stalls"] >= 1


def test_a_stop_is_answered_while_a_worker_is_frozen(built: Mapping[str, Path]) -> None:
    """It thaws: else the worker could not leave, and the last oracles would be missing."""
    frozen = ("--set", "stall_ms=1000", "--set", "stall_every_ms=10")
    call = arguments("capability_churn", *frozen, seconds="600", threads=2)
    with subprocess.Popen([str(built["release"]), *call], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        head = process.stdout.readline()
        time.sleep(0.3)  # it is frozen after 60 ms, for a second
        process.send_signal(signal.SIGTERM)
        said = Said(0, read_records(head + process.communicate(timeout=PATIENCE_S)[0]), "")
    assert process.returncode == 0
    assert said.result["status"] == "stopped"
    assert counters(said)["stalls"] == 1, "the counters of finish are there, too"
