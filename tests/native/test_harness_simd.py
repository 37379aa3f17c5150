"""ORCH_SIMD forces an instruction set, or is refused in one line: the harness never dies of an illegal instruction."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness_calls import read_records

pytestmark = pytest.mark.native

WIDTHS = ["portable", "avx2", "avx512"]


def run(harness: Path, simd: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ORCH_SIMD": simd}
    return subprocess.run(
        [str(harness), *arguments], capture_output=True, text=True, timeout=240, env=environment
    )


@pytest.mark.parametrize("simd", ["sse9", "AVX2", "avx2 ", "avx5120"])
@pytest.mark.parametrize("arguments", [["list"], ["run", "op_column"]])
def test_an_unknown_instruction_set_is_one_line_and_status_2(
    built: Mapping[str, Path], simd: str, arguments: list[str]
) -> None:
    done = run(built["release"], simd, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"orch-harness: ORCH_SIMD: '{simd}' is none of portable, avx2, avx512\n"


@pytest.mark.parametrize("simd", WIDTHS)
def test_what_is_forced_runs_or_is_refused(built: Mapping[str, Path], simd: str) -> None:
    done = run(built["release"], simd, "run", "op_column", "--seconds", "0.05", "--warmup", "0")
    if done.returncode == 2:
        assert done.stderr.startswith(f"orch-harness: ORCH_SIMD: this processor and kernel have no {simd}; ")
        assert (done.stderr.count("\n"), done.stdout) == (1, "")
        return
    records = read_records(done.stdout)
    assert f"simd={simd}" in records[0]["features"]
    assert records[-1]["status"] == "ok"


def test_portable_runs_everywhere_and_nothing_forced_is_the_widest(built: Mapping[str, Path]) -> None:
    assert run(built["release"], "portable", "list").returncode == 0
    able = [simd for simd in WIDTHS if run(built["release"], simd, "list").returncode == 0]
    done = run(built["release"], "", "run", "harness_floor", "--seconds", "0.02", "--warmup", "0")
    assert f"simd={able[-1]}" in read_records(done.stdout)[0]["features"]
