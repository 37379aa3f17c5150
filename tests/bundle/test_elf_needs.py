from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.bundle.elf import read_needs
from orchestrator.errors import BuildError


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "p.c").write_text('#include <stdio.h>\nint main(void) { return puts("") < 0; }\n')
    return tmp_path / "p.c"


def compile_(source: Path, *options: str) -> Path:
    target = source.with_suffix("")
    subprocess.run(["gcc", str(source), "-o", str(target), *options], check=True)
    return target


@pytest.mark.native
def test_a_dynamic_program_needs_the_newest_glibc_version_among_its_symbols(program: Path) -> None:
    target = compile_(program)
    needs = read_needs(target)
    shown = subprocess.run(["readelf", "-V", str(target)], capture_output=True, text=True, check=True).stdout
    named = {word for word in shown.split() if word.startswith("GLIBC_2.")}
    newest = max(named, key=lambda n: tuple(map(int, n.removeprefix("GLIBC_").split("."))))
    assert (needs.machine, needs.static, needs.glibc) == ("x86_64", False, newest.removeprefix("GLIBC_"))


@pytest.mark.native
def test_a_static_program_needs_no_glibc(program: Path) -> None:
    needs = read_needs(compile_(program, "-static"))
    assert (needs.static, needs.glibc) == (True, "")


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01"])
def test_what_is_no_program_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(BuildError, match="not a 64-bit"):
        read_needs(tmp_path / "f")


def test_a_cut_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\x7fELF\x02\x01" + bytes(20))
    with pytest.raises(BuildError, match="cannot be read"):
        read_needs(tmp_path / "f")
