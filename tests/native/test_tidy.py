"""clang-tidy has nothing to say about the C sources, would say something, and each check that is off has its reason."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
SCRIPT = NATIVE / "tools" / "check_tidy.py"


def look(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=1700)


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.timeout(1800)
def test_clang_tidy_finds_nothing() -> None:
    done = look()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"[1-9]\d+ files, 0 findings", done.stderr)


@pytest.mark.native
def test_a_doubtful_line_is_found(tmp_path: Path) -> None:
    source = tmp_path / "doubtful.c"
    source.write_text(
        "int twice(int value);\nint twice(int value) {\n    if (value == value) {\n        return 2;\n    }\n    return 0;\n}\n"
    )
    done = look(str(source))
    assert done.returncode == 1, done.stderr
    assert "[misc-redundant-expression" in done.stdout


def test_every_check_that_is_off_has_a_reason() -> None:
    text = (NATIVE / ".clang-tidy").read_text()
    off = re.findall(r"-([a-z]+-[\w.-]+)", text.split("Checks:")[1].split("\n#")[0])
    told = {
        name
        for line in text.splitlines()
        if line.startswith("# ")
        for name in line[2:].split(": ")[0].split(", ")
    }
    assert len(off) > 5
    assert [name for name in off if name not in told] == []
