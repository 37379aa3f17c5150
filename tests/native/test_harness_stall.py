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
#: Lengths of one run after the other until one shows what it may: a freeze that misses the critical section shows nothing, and on
#: a busy machine there are few.
ATTEMPTS = ("1", "1", "1", "4", "4", "16")


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
    for seconds in ATTEMPTS:
        said = harness(*arguments("capability_churn", *OFTEN, seconds=seconds), variant=variant)
        assert (said.status, said.errors, said.of("violation")) == (0, "", [])
        assert contracts(said) == ["C1", "C2", "C3", "C4", "C5", "C6"]
        if counters(said)["stalls"] >= 2:
            return
    raise AssertionError("hardly anybody was frozen")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lock_is_seen_by_who_waits_for_its_frozen_holder(harness: Harness, variant: str) -> None:
    for seed, seconds in enumerate(ATTEMPTS):
        call = arguments("baseline_churn", *OFTEN, *CHANGES, "--seed", str(seed), seconds=seconds)
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
    for _ in ATTEMPTS:
        said = harness(*arguments("capability_churn", seconds="0.5", threads=2))
        assert "C4" in contracts(said)
        if counters(said)["stalls"] + counters(said)["stalls_unjudged"] >= 1:
            return
    raise AssertionError("nobody was frozen")


def stopped_now_and_then(harness: Path, seconds: str) -> Said:
    """More threads than CPUs, on one CPU, and now and then the whole process is stopped."""
    call = arguments("capability_churn", *OFTEN, "--cpus", ",".join(["0"] * 8), threads=8, seconds=seconds)
    with subprocess.Popen([str(harness), *call], stdout=subprocess.PIPE, text=True) as process:
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
    return Said(process.returncode, read_records(text), "")


def test_a_process_that_is_not_run_for_a_while_is_not_accused(built: Mapping[str, Path]) -> None:
    for seconds in ("1.5", *ATTEMPTS):
        said = stopped_now_and_then(built["release"], seconds)
        assert (said.status, said.of("violation")) == (0, [])
        if counters(said)["stalls"] >= 1:
            return
    raise AssertionError("nobody was frozen")


def stopped_after(harness: Path, pause_s: float) -> Said:
    frozen = ("--set", "stall_ms=1000", "--set", "stall_every_ms=10")
    call = arguments("capability_churn", *frozen, seconds="600", threads=2)
    with subprocess.Popen([str(harness), *call], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        head = process.stdout.readline()
        time.sleep(pause_s)
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=PATIENCE_S)[0]
    return Said(process.returncode, read_records(head + rest), "")


def test_a_stop_is_answered_while_a_worker_is_frozen(built: Mapping[str, Path]) -> None:
    """It thaws: else the worker could not leave, and the last oracles would be missing."""
    for pause_s in (
        0.3,
        1,
        3,
        9,
    ):  # from 60 ms on somebody is frozen nearly all the time; on a busy machine later
        said = stopped_after(built["release"], pause_s)
        assert (said.status, said.result["status"]) == (0, "stopped")
        if counters(said)["stalls"] >= 1:  # the counters of finish are there, too
            return
    raise AssertionError("nobody was frozen when it was stopped")
