"""The C tests, unit and stress, under each variant and both compilers, warnings as errors."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from preset_builds import up_to_date

NATIVE = Path(__file__).parents[2] / "native"


@pytest.mark.native
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("preset", ["release", "clang", "asan", "tsan"])
def test_every_c_test_passes_under(preset: str) -> None:
    up_to_date(preset)
    command = ["ctest", "--preset", preset, "--parallel", str(os.cpu_count() or 1)]
    done = subprocess.run(command, cwd=NATIVE, capture_output=True, text=True, timeout=1700)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {p.stem for folder in ("test", "kernel") for p in (NATIVE / folder).glob("test_*.c")}
    assert expected
    assert all(name in done.stdout for name in expected)
