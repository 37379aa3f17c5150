from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.bundle.build import build

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"


def test_the_release_harness_asks_for_no_loader_and_no_library(built: Mapping[str, Path]) -> None:
    for option in ("-l", "-d"):
        shown = subprocess.run(
            ["readelf", "-W", option, str(built["release"])], capture_output=True, text=True, check=True
        ).stdout
        assert "INTERP" not in shown
        assert "NEEDED" not in shown


def test_it_holds_no_path_of_this_machine(built: Mapping[str, Path]) -> None:
    data = built["release"].read_bytes()
    assert str(NATIVE).encode() not in data
    assert str(Path.home() / ".cache").encode() not in data
    assert b"native/harness/main.c" in data, "but the source's own paths, for backtraces"


def test_it_uses_no_instruction_beyond_baseline_x86_64(built: Mapping[str, Path]) -> None:
    """In our own code; the C library chooses its faster functions at start-up."""
    shown = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(built["release"])],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = [part for part in shown.split("\n\n") if "<capability_" in part.partition("\n")[0]]
    assert ours
    assert not [part.partition("\n")[0] for part in ours if "%ymm" in part or "%zmm" in part]


@pytest.mark.parametrize(
    "variant", ["release", *(pytest.param(v, marks=pytest.mark.slow) for v in ("asan", "tsan"))]
)
def test_what_is_shipped_is_the_same_bytes_as_what_is_tested(built: Mapping[str, Path], variant: str) -> None:
    """The bundle is compiled in another folder, without the tests, and by ninja where there is one: the same source gives the
    same bytes all the same."""
    (shipped,) = build(NATIVE, [variant]).variants
    assert Path(shipped.file).resolve() != built[variant].resolve()
    assert shipped.sha256 == hashlib.sha256(built[variant].read_bytes()).hexdigest()
