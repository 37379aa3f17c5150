"""The import contracts hold, and each of them can fail: a planted import breaks it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: the file that gets the line, the line, and words of the contract that it breaks
PLANTS = [
    ("orchestrator/model/plan.py", "import orchestrator.engine", "floors"),
    ("orchestrator/planning/__init__.py", "import orchestrator.stops", "floors"),
    ("orchestrator/engine/__init__.py", "import orchestrator.report", "floors"),
    ("orchestrator/results/__init__.py", "import orchestrator.cli.app", "floors"),
    ("agents/wire.py", "import orchestrator.errors", "knows nothing of the controller"),
    ("agents/journal.py", "import yaml", "knows nothing of the controller"),
    ("orchestrator/fleet/seat.py", "import agents.main", "shapes and tables only"),
    ("orchestrator/planning/__init__.py", "import time", "pure floors"),
    ("orchestrator/analysis/__init__.py", "import subprocess", "pure floors"),
]

#: what the controller may know of the agent: record shapes, tables, and the text that starts it
SHAPES = {"bootstrap", "facts", "wire", "workloads"}


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [program, "--no-cache"], cwd=tree, capture_output=True, text=True, timeout=240, check=False
    )


def broken(output: str) -> list[str]:
    return re.findall(r"^(.+?) BROKEN", output, re.MULTILINE)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python packages and their contracts, to be spoiled."""
    copy = tmp_path_factory.mktemp("tree")
    for package in ("orchestrator", "agents"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def test_the_tree_keeps_its_contracts(tree: Path) -> None:
    done = lint_imports(tree)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "line", "contract"), PLANTS)
def test_a_planted_import_breaks_its_contract(tree: Path, file: str, line: str, contract: str) -> None:
    spoiled = tree / file
    before = spoiled.read_text()
    spoiled.write_text(f"{before}\n{line}\n")
    try:
        done = lint_imports(tree)
    finally:
        spoiled.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(contract in name for name in broken(done.stdout)), done.stdout


def test_every_module_of_the_agent_is_either_a_shape_or_closed_to_the_controller() -> None:
    contract = (ROOT / "pyproject.toml").read_text().split("shapes and tables only")[1].split("[[")[0]
    closed = set(re.findall(r"agents\.(\w+)", contract))
    there = {p.stem for p in (ROOT / "agents").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert closed.isdisjoint(SHAPES)
    assert there - {"__init__", "__main__"} == closed | SHAPES


def test_every_package_of_the_controller_stands_on_a_floor() -> None:
    contracts = (ROOT / "pyproject.toml").read_text().split("[[tool.importlinter.contracts]]")[1]
    named = set(re.findall(r"orchestrator\.(\w+)", contracts))
    there = {
        p.stem for p in (ROOT / "orchestrator").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert there - {"__init__"} == named
