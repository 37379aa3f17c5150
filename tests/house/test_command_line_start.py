"""`orch --help` answers before a heavy package could have been imported, and carries the exit codes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import EXIT_CODES

ROOT = Path(__file__).parents[2]
HEAVY = ("pandas", "ray", "paramiko", "pydantic", "duckdb", "pyarrow", "numpy", "yaml")


def orch(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "orchestrator.cli.app", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "NO_COLOR": "1", "LANG": "C.UTF-8"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize("arguments", [("--help",), ("run", "playbook", "--help"), ("--version",)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    # typer itself takes pydantic to parse the options of a command; at the top there is nothing to parse
    allowed = {"pydantic"} if arguments[0] == "run" else set()
    done = orch(*arguments, python=("-X", "importtime"))
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert {"typer", "orchestrator"} <= imported, "the list of imports was not read"
    assert not imported & set(HEAVY) - allowed


def test_help_names_every_exit_code_with_its_meaning() -> None:
    words = " ".join(re.sub(r"[│\s]+", " ", orch("--help").stdout).split())
    told = words.split("Exit codes:")[1]
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"(?<!\d){code} {re.escape(meaning)}", told), (code, told)


@pytest.mark.parametrize("page", ["README.md", "docs/reference/exit-codes.md"])
def test_the_pages_carry_the_same_exit_codes(page: str) -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", (ROOT / page).read_text(), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES


def test_every_error_of_ours_ends_with_a_code_of_the_table() -> None:
    from orchestrator import errors

    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.OrchError)]
    assert len(kinds) > 10
    assert {k.exit_code for k in kinds} <= set(EXIT_CODES)
