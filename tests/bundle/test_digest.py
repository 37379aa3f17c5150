from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from orchestrator.bundle.digest import snapshot, source_digest, source_files

NATIVE = Path(__file__).parents[2] / "native"


@pytest.mark.native
def test_cmake_and_python_give_the_same_id(tmp_path: Path) -> None:
    header = tmp_path / "build_id.h"
    script = NATIVE / "cmake" / "build_id.cmake"
    subprocess.run(
        ["cmake", f"-DSOURCE={NATIVE}", f"-DOUTPUT={header}", "-DID=", "-P", str(script)], check=True
    )
    assert header.read_text() == f'#define ORCH_BUILD_ID "{source_digest(NATIVE)}"\n'


def test_the_id_is_16_hex_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", source_digest(NATIVE))


def test_what_is_not_in_the_harness_does_not_count(tiny: Path) -> None:
    before = source_digest(tiny)
    for name in (
        "kernel/test_thing.c",
        "test/test_other.c",
        "mutants/m.patch",
        "build/x.c",
        "harness/notes.md",
    ):
        (tiny / name).parent.mkdir(exist_ok=True)
        (tiny / name).write_text("other")
    assert source_digest(tiny) == before


@pytest.mark.parametrize("name", ["kernel/a.c", "include/a.h", "harness/main.c", "CMakeLists.txt"])
def test_what_is_in_the_harness_counts(tiny: Path, name: str) -> None:
    before = source_digest(tiny)
    (tiny / name).parent.mkdir(exist_ok=True)
    (tiny / name).write_text("changed")
    assert source_digest(tiny) != before


def test_a_file_of_another_name_gives_another_id(tiny: Path) -> None:
    before = source_digest(tiny)
    (tiny / "harness" / "bench_tiny.c").rename(tiny / "harness" / "bench_other.c")
    assert source_digest(tiny) != before


def test_files_are_sorted_as_bytes(tiny: Path) -> None:
    for name in ("a.c", "B.c", "a/z.c", "a_b.c"):
        (tiny / "kernel" / name).parent.mkdir(parents=True, exist_ok=True)
        (tiny / "kernel" / name).write_text("")
    files = source_files(tiny)
    assert files == sorted(files, key=str.encode)
    assert [f for f in files if f.startswith("kernel")] == [
        "kernel/B.c",
        "kernel/a.c",
        "kernel/a/z.c",
        "kernel/a_b.c",
    ]


def test_a_snapshot_has_the_digest_of_its_source(tiny: Path, tmp_path: Path) -> None:
    assert snapshot(tiny, tmp_path / "copy") == source_digest(tiny)
    assert source_files(tmp_path / "copy") == source_files(tiny)
