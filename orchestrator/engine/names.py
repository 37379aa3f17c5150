"""Every name that a playbook may use in this program: the tables of the floors below, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.analysis import ANALYSES, check_judge
from orchestrator.bundle.build import catalogue
from orchestrator.bundle.manifest import Bench
from orchestrator.errors import InputError
from orchestrator.model.names import Names
from orchestrator.stops import ARGUMENTS


def known_names(benches: Sequence[Bench] | None) -> Names:
    """``benches``: what the bundle offers; None where nobody could be asked, then every bench passes."""
    settings = None if benches is None else {b.name: b.settings for b in benches}
    return Names(ARGUMENTS, ANALYSES, check_judge, benches=settings)


def benches_of(source: Path) -> list[Bench] | None:
    """None without a source tree and without an installed harness."""
    try:
        return catalogue(source)
    except InputError:
        return None
