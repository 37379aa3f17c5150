"""The explorer without what does not compile: a file of scenarios that is wrong costs its own scenarios, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.bundle.compiler import Toolchain, error_lines, make_command, run_tool
from orchestrator.bundle.manifest import LeftOut

#: What make and ninja say of an object that could not be made: the target that it is of.
_FAILED = re.compile(r"^(?:.*\*\*\* |FAILED: ).*?CMakeFiles/([\w.-]+)\.dir/\S+\.o\b", re.MULTILINE)
#: What a linker says of a name that a scenario's object needs and nobody has.
_LACKS = re.compile(
    r"(scenario_\w+)\.(?:local\.o|c)\b(?:(?!scenario_)[^\n])*(?:\n[^\n]*)?undefined reference to ([^\n]*)"
)
#: A compiler that was killed says no such thing.
_AT_A_LINE = re.compile(r"^\S+?:\d+:(?:\d+:)? (?:fatal )?error: ")
_SUBJECT = re.compile(r'^\s*EXPLORE_SCENARIOS\s*\(\s*"(\w+)"', re.MULTILINE)


def broken_scenarios(tools: Toolchain, source: Path, build: Path) -> list[LeftOut]:
    """Those without which the explorer would be built: none where something else is wrong, or all of them are. ``build``: where
    it has just failed."""
    there = {path.stem for path in (source / "explore").glob("scenario_*.c")}
    go_on = ["--", "-k", "0"] if tools.generator == "Ninja" else ["--", "-k"]
    _, said = run_tool([*make_command(tools, build, "orch-harness"), *go_on])
    failed = set(_FAILED.findall(said))
    if not failed:
        failed, found = there, dict(_unlinked(said))
    else:
        found = {name: why for name in sorted(failed & there) if (why := _why(tools, source, build, name))}
    if failed - there or there <= set(found):
        return []
    return [
        LeftOut(f"{name}.c", subjects_of(source / "explore" / f"{name}.c"), why)
        for name, why in found.items()
    ]


def subjects_of(scenario: Path) -> list[str]:
    """As it says, and where it does not say yet, its name without `scenario_`."""
    said = _SUBJECT.findall(scenario.read_text(errors="replace"))
    return list(dict.fromkeys(said)) or [scenario.stem.removeprefix("scenario_")]


def _why(tools: Toolchain, source: Path, build: Path, name: str) -> str:
    """By itself, so that nobody else speaks between; "": it compiles after all, or it is not the file that is wrong."""
    status, said = run_tool(make_command(tools, build, name))
    lines = [line.removeprefix(f"{source}/") for line in error_lines(said)]
    wrong = next((line for line in lines if _AT_A_LINE.match(line)), "")
    return f"does not compile: {wrong}" if status and wrong else ""


def _unlinked(said: str) -> Iterator[tuple[str, str]]:
    for name, what in _LACKS.findall(said):
        yield name, f"does not link: undefined reference to {what.strip()}"
