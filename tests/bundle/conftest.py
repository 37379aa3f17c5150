"""A source tree that compiles in a second: what the building of bundles is tested with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

_CMAKE = """\
cmake_minimum_required(VERSION 3.22)
project(tiny LANGUAGES C)
set(name orch-harness)
if(NOT ORCH_VARIANT STREQUAL "release")
  set(name orch-harness-${ORCH_VARIANT})
endif()
add_executable(orch-harness harness/main.c)
target_compile_definitions(orch-harness PRIVATE BUILD="${ORCH_BUILD_ID}" VARIANT="${ORCH_VARIANT}")
if(ORCH_VARIANT STREQUAL "release")
  target_link_options(orch-harness PRIVATE -static)
endif()
set_target_properties(orch-harness PROPERTIES OUTPUT_NAME ${name})
"""

_MAIN = """\
#include <stdio.h>
int main(void) {
    puts("{\\"protocol\\":1,\\"build\\":\\"" BUILD "\\",\\"variant\\":\\"" VARIANT "\\",\\"benches\\":"
         "[{\\"name\\":\\"tiny\\",\\"summary\\":\\"s\\",\\"unit_of_work\\":\\"u\\",\\"settings\\":"
         "[{\\"name\\":\\"ids\\",\\"type\\":\\"int\\",\\"default\\":7,\\"min\\":1,\\"max\\":9,\\"help\\":\\"h\\"}]}]}");
    return 0;
}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("ORCH_CACHE", str(path))
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A native tree with the presets of the real one and one bench, `tiny`."""
    source = tmp_path / "tiny"
    (source / "harness").mkdir(parents=True)
    (source / "CMakeLists.txt").write_text(_CMAKE)
    (source / "harness" / "main.c").write_text(_MAIN)
    (source / "harness" / "bench_tiny.c").write_text("")
    shutil.copyfile(Path(__file__).parents[2] / "native" / "CMakePresets.json", source / "CMakePresets.json")
    return source


@pytest.fixture
def counted_cmake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets one line per call of cmake."""
    real = shutil.which("cmake")
    assert real is not None
    calls = tmp_path / "calls"
    folder = tmp_path / "bin"
    folder.mkdir()
    wrapper = folder / "cmake"
    wrapper.write_text(f'#!/bin/sh\necho call >> "{calls}"\nexec "{real}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    calls.write_text("")
    return calls


_EXPLORES = """\

if(ORCH_VARIANT STREQUAL "explore")
  file(GLOB scenarios CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/explore/scenario_*.c")
  foreach(source IN LISTS scenarios)
    get_filename_component(name "${source}" NAME_WE)
    add_library(${name} OBJECT "${source}")
    target_sources(orch-harness PRIVATE "$<TARGET_OBJECTS:${name}>")
  endforeach()
endif()
"""


@pytest.fixture
def exploring(tiny: Path) -> Path:
    """The same with an explorer that has two scenarios, in two files."""
    with (tiny / "CMakeLists.txt").open("a") as f:
        f.write(_EXPLORES)
    (tiny / "explore").mkdir()
    for name in ("good", "sound"):
        (tiny / "explore" / f"scenario_{name}.c").write_text(
            f"int {name}(void);\nint {name}(void) {{ return 0; }}\n"
        )
    return tiny
