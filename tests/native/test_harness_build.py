from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.bundle.digest import snapshot

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


@pytest.mark.parametrize("generator", ["Unix Makefiles", "Ninja"])
def test_the_same_source_gives_the_same_bytes_in_another_folder(
    built: Mapping[str, Path], tmp_path: Path, generator: str
) -> None:
    if generator == "Ninja" and not shutil.which("ninja"):
        generator = "Unix Makefiles"
    source = tmp_path / "another" / "folder"
    snapshot(NATIVE, source)
    for command in (
        ["cmake", "--preset", "release", "-G", generator, "-DORCH_TESTS=OFF"],
        ["cmake", "--build", "--preset", "release", "--parallel", "2"],
    ):
        subprocess.run(command, cwd=source, check=True, capture_output=True)
    other = source / "build" / "release" / "orch-harness"
    assert _sha256(other) == _sha256(built["release"])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
