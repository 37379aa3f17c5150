"""The reference of the native interface is what the headers say, made into a page."""

import re
import subprocess
from pathlib import Path

import pytest
from api_reference import INTERNAL, page, prose

ROOT = Path(__file__).parents[2]
INCLUDE = ROOT / "native" / "include"

HEADER = """// A thing.
//
//     thing_t *one = thing_make(1);   // an example
//
//   T1  It lasts,
//       for ever.
//   T2  It is < 3 *units* long.
#pragma once
#include <stdint.h>

// --- its life ---

typedef struct thing thing_t;

// NULL when there is none.
thing_t *thing_make(int size);

static inline int thing_size(const thing_t *thing) {
    if (thing == 0) {
        return 0;
    }
    return 1;
}
"""


@pytest.fixture
def written(tmp_path: Path) -> str:
    (tmp_path / "thing.h").write_text(HEADER)
    return page(tmp_path)


def test_comments_become_text_examples_and_items(written: str) -> None:
    assert "\nA thing.\n" in written
    assert "```c\nthing_t *one = thing_make(1);   // an example\n```" in written
    assert "- **T1** It lasts,\n  for ever.\n" in written
    assert r"- **T2** It is \< 3 \*units\* long." in written


def test_declarations_become_code_below_their_comment(written: str) -> None:
    assert "### its life" in written
    assert "NULL when there is none.\n\n```c\nthing_t *thing_make(int size);\n```" in written
    assert "int thing_size(const thing_t *thing);" in written
    assert "return" not in written.split("## `thing.h`")[1]
    assert "#include" not in written


def test_the_table_names_what_there_is(written: str) -> None:
    assert "| [`thing.h`](#thingh) | `thing_make`, `thing_size` | `thing_t` |" in written


def test_every_fence_that_opens_closes() -> None:
    assert page(INCLUDE).count("```") % 2 == 0
    assert prose(["Text:", "    code"])[-2:] == ["```", ""]


def test_every_function_that_the_compiler_sees_is_there(tmp_path: Path) -> None:
    text = page(INCLUDE)
    found = 0
    for header in sorted(INCLUDE.glob("*.h")):
        if header.name in INTERNAL or "ops_shape" in header.name:
            continue
        (tmp_path / "one.c").write_text(f'#include "{header}"\n')
        command = ["gcc", "-std=c17", "-D_GNU_SOURCE=", f"-I{INCLUDE}", "-fsyntax-only"]
        command += ["-aux-info", str(tmp_path / "seen"), str(tmp_path / "one.c")]
        subprocess.run(command, check=True, capture_output=True)
        own = rf"^/\* \S*/{re.escape(header.name)}:\d+:\w+ \*/ .*?(\w+) \("
        for name in re.findall(own, (tmp_path / "seen").read_text(), re.MULTILINE):
            assert re.search(rf"\b{name}\(", text), f"{header.name}: {name}"
            found += 1
    assert found > 50
