from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_calls import PATIENCE_S, read_records

pytestmark = pytest.mark.native


def stopped(program: Path, arguments: list[str], sent: signal.Signals, after: str) -> dict[str, Any]:
    """Send the signal once a line holding ``after`` was read; returns the last record."""
    command = [str(program), "run", *arguments, "--seconds", "600", "--interval", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        head = ""
        for line in process.stdout:
            head += line
            if after in line:
                break
        process.send_signal(sent)
        rest, errors = process.communicate(
            timeout=PATIENCE_S
        )  # far less than the 600 s that it would have run
    assert errors == ""
    assert process.returncode == 0
    last: dict[str, Any] = read_records(head + rest)[-1]
    return last


@pytest.mark.parametrize("variant", ["release", "asan", "tsan"])
@pytest.mark.parametrize("bench", ["capability_churn", "capability_check", "baseline_check", "harness_floor"])
def test_sigterm_in_the_window_gives_what_was_measured(
    built: Mapping[str, Path], bench: str, variant: str
) -> None:
    arguments = [bench, "--threads", "4", "--warmup", "0"]
    result = stopped(built[variant], arguments, signal.SIGTERM, '"measure"')
    assert (result["type"], result["status"]) == ("result", "stopped")
    assert result["ops"] > 0
    assert 0 < result["seconds"] < PATIENCE_S
    assert result["metrics"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_in_the_warmup_measures_nothing(built: Mapping[str, Path], sent: signal.Signals) -> None:
    result = stopped(built["release"], ["harness_floor", "--warmup", "600"], sent, '"warmup"')
    assert (result["status"], result["ops"], result["seconds"]) == ("stopped", 0, 0)


@pytest.mark.parametrize("variant", ["release", "asan", "tsan"])
def test_a_stop_while_a_large_table_is_made_is_answered(built: Mapping[str, Path], variant: str) -> None:
    arguments = ["capability_check", "--threads", "2", "--set", "ids=4194304"]
    result = stopped(built[variant], arguments, signal.SIGTERM, '"hello"')
    assert (result["status"], result["ops"]) == ("stopped", 0)


def test_the_thread_sanitizer_variant_runs_without_address_randomisation(built: Mapping[str, Path]) -> None:
    """Its runtime gives up where the kernel randomises more bits than its map of memory allows for."""
    command = [str(built["tsan"]), "run", "harness_floor", "--seconds", "600", "--interval", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert '"hello"' in process.stdout.readline()
        personality = int(Path(f"/proc/{process.pid}/personality").read_text(), 16)
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    assert personality & 0x0040000
    assert process.returncode == 0
