"""Every name that a playbook may use in this program: the tables of the floors below, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from orchestrator.analysis import ANALYSES, check_judge
from orchestrator.bundle.build import build, catalogue
from orchestrator.bundle.manifest import VARIANTS, Bench
from orchestrator.errors import BuildError, InputError, SetupError
from orchestrator.model.names import Names
from orchestrator.stops import ARGUMENTS


def known_names(benches: Sequence[Bench] | None, source: Path | None = None) -> Names:
    """``benches``: what the bundle offers; None where nobody could be asked, then every bench passes.
    ``source``: of the explorer, which is built where a job looks for races."""
    settings = None if benches is None else {b.name: b.settings for b in benches}
    scenarios = cache(lambda: None if source is None else scenarios_of(source))
    return Names(ARGUMENTS, ANALYSES, check_judge, benches=settings, scenarios=scenarios)


def scenarios_of(source: Path) -> dict[str, list[str]] | None:
    """Subject → scenarios, as the explorer lists them, and files that do not compile in the place of theirs; None where it cannot
    be built."""
    if "explore" not in VARIANTS:
        return {}
    try:
        bundle = build(source, ("explore",))
    except (InputError, SetupError, BuildError):
        return None
    found: dict[str, list[str]] = {}
    for scenario in bundle.benches:
        found.setdefault(scenario.subject or scenario.name, []).append(scenario.name)
    for left in bundle.left_out:
        for subject in left.subjects:
            found.setdefault(subject, []).append(left.file)
    return found


def benches_of(source: Path) -> list[Bench] | None:
    """None without a source tree and without an installed harness."""
    try:
        return catalogue(source)
    except InputError:
        return None
