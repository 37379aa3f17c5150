"""What there is, is documented; what is generated, is current; what is linked, exists."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line.lstrip("#").strip() for line in text.splitlines() if re.match(r"#+ ", line)]


def anchor(heading: str) -> str:
    """As code hosts make it: lower case, blanks to hyphens, other signs left out."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands() -> Iterator[tuple[str, Any]]:
    from orchestrator.cli.app import app

    def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield path, command
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(f"{path} {name}", below)

    yield from walk("orch", typer.main.get_command(app))


def test_every_command_is_documented_and_says_what_it_does() -> None:
    documented = headings(REFERENCE / "cli.md")
    found = dict(commands())
    assert {"orch run playbook", "orch plan", "orch lab up", "orch results query"} <= set(found)
    for path, command in found.items():
        assert command.help, path
        assert path == "orch" or f"`{path}`" in documented, path


def test_every_option_says_what_it_does() -> None:
    silent = [
        f"{path} {parameter.name}"
        for path, command in commands()
        for parameter in command.params
        if not parameter.help
    ]
    assert not silent


def test_every_member_of_the_tables_is_documented() -> None:
    from agents.workloads import TABLE
    from orchestrator.analysis import ANALYSES
    from orchestrator.bundle.build import catalogue
    from orchestrator.stops import STOPS

    for page, names in {
        "workloads.md": set(TABLE),
        "analyses.md": set(ANALYSES),
        "stops.md": set(STOPS),
        "benches.md": {b.name for b in catalogue(ROOT / "native")},
    }.items():
        assert names
        assert names <= {h.strip("`") for h in headings(REFERENCE / page)}, page


def keys(page: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", (REFERENCE / page).read_text()))


def test_every_key_of_a_playbook_is_documented() -> None:
    from orchestrator.model import playbook
    from orchestrator.model.fields import Strict

    models = [
        kind
        for kind in vars(playbook).values()
        if isinstance(kind, type) and issubclass(kind, Strict) and kind is not Strict
    ]
    assert {playbook.Playbook, playbook.Job, playbook.Measure} <= set(models)
    written = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert not written - {"source"} - keys("playbook.md")


def test_every_key_of_an_inventory_is_documented() -> None:
    from orchestrator.model.inventory import GroupSpec, InventoryFile, SshSpec

    written = {name for model in (InventoryFile, GroupSpec, SshSpec) for name in model.model_fields}
    assert not written - keys("inventory.md")


def test_generated_pages_are_current() -> None:
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run `make docs` and commit what it writes"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+://|mailto:", target):
            continue
        path, _, fragment = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        if fragment:
            assert fragment in {anchor(h) for h in headings(there)}, target


def test_the_index_lists_every_decision_with_its_title() -> None:
    folder = ROOT / "docs" / "adr"
    listed = dict(re.findall(r"^- \[(.+?)\]\((.+?)\)$", (folder / "README.md").read_text(), re.MULTILINE))
    there = {headings(p)[0]: p.name for p in folder.glob("0*.md")}
    assert listed == there
    numbers = [int(name[:4]) for name in sorted(there.values())]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_invariant_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    part = text.split("<!-- invariants: begin -->")[1].split("<!-- invariants: end -->")[0]
    invariants = re.split(r"^\d+\. ", part, flags=re.MULTILINE)[1:]
    assert len(invariants) == 9
    for invariant in invariants:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", invariant)
        assert named, invariant
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(), (file, test)
