"""The variant with arms of other libraries: built where their packages are, and else one line says what is missing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from orchestrator.bundle.compiler import error_lines

NATIVE = Path(__file__).parents[2] / "native"
pytestmark = pytest.mark.native


def test_missing_packages_are_one_line_with_the_command(tmp_path: Path) -> None:
    command = [
        "cmake",
        "-S",
        str(NATIVE),
        "-B",
        str(tmp_path),
        "--preset",
        "peers",
        "-DCMAKE_IGNORE_PATH=/usr/include",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    (line,) = error_lines(done.stdout + done.stderr)
    assert re.search(r"apt-get install -y .*libck-dev", line)


def test_setup_knows_every_package_of_the_peers() -> None:
    named = set(re.findall(r"^peer\((\S+)", (NATIVE / "cmake" / "peers.cmake").read_text(), re.MULTILINE))
    assert len(named) == 5
    setup = (NATIVE.parent / ".ci" / "setup").read_text()
    assert all(package in setup for package in named)
