"""What is in the repository: only what belongs there, and nothing that ties it to a place."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FOLDERS = {"orchestrator", "agents", "native", "playbooks", "inventory", "tests", "docs", "bench", ".ci"}
FILES = {"pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}

#: what ties a file to one place; written so that no pattern finds itself
PLACES = {
    "a path of somebody's machine": r"/(?:hom[e]/\w|work[/])",
    "an address of a package registry": r"(?:pypi|npmjs|pythonhosted|crates)\.(?:org|io|com)\b"
    r"|deb\.debian\.(?:org)|proxy\.golang",
}


def tracked() -> list[Path]:
    """Files in git; in a tree without git (an archive) all that is there."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_top_level_holds_only_what_belongs_there() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in tracked()}
    dotfiles = {name for name in top if name.startswith(".") and (ROOT / name).is_file()}
    assert top - dotfiles - FILES - FOLDERS == set()
    assert top >= FILES


@pytest.mark.parametrize("what", PLACES)
def test_no_file_names(what: str) -> None:
    pattern = re.compile(PLACES[what])
    found = []
    for path in tracked():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m.group()}" for m in pattern.finditer(text)]
    assert not found


def test_the_patterns_find_what_they_are_for() -> None:
    assert re.search(PLACES["a path of somebody's machine"], "/".join(["", "home", "me", "x"]))
    assert re.search(PLACES["an address of a package registry"], ".".join(["files", "pythonhosted", "org"]))


def test_the_lock_names_versions_and_digests_and_no_address() -> None:
    text = (ROOT / ".ci" / "requirements.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 30
    for block in blocks:
        assert re.match(r"[\w.\-]+==[\w.]+( ;.*)? \\\n", block), block[:80]
        assert "--hash=sha256:" in block


def test_the_lock_holds_what_the_project_declares() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    locked = set(re.findall(r"^([\w.\-]+)==", (ROOT / ".ci" / "requirements.lock").read_text(), re.MULTILINE))
    names = {re.split(r"[^\w.\-]", d)[0].lower() for d in declared}
    assert names <= locked


def test_every_dependency_has_a_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = (ROOT / "docs" / "adr" / "0003-dependencies.md").read_text()
    for dependency in project["dependencies"]:
        name = re.split(r"[^\w.-]", dependency)[0]
        assert f"| {name} |" in reasons, name
