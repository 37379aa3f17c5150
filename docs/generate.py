"""Writes the pages that say what the code says: native interface, command line, workloads, benches, stops, analyses, exit codes,
and the parts of README.md and ARCHITECTURE.md between comments. `make docs` calls it; with --check it writes nothing and exits with 1 where a
page is not current."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
ARCHITECTURE = ROOT / "docs" / "ARCHITECTURE.md"
README = ROOT / "README.md"
PLAYBOOK = REFERENCE / "playbook.md"

#: Packages of the code map, top floor first, as in the contract of pyproject.toml.
FLOORS: tuple[tuple[str, str], ...] = (
    ("orchestrator/cli", "floor 6, the command line"),
    ("orchestrator/resume.py", "floor 5, the rest of a run"),
    ("orchestrator/run.py", "floor 5, the run"),
    ("orchestrator/engine", "floor 4, carrying a plan out"),
    ("orchestrator/report", "floor 4, showing what came of it"),
    ("orchestrator/results", "floor 3, run folder, tables, export"),
    ("orchestrator/fleet", "floor 3, Ray"),
    ("orchestrator/lab", "floor 3, a fleet on one machine"),
    ("orchestrator/planning", "floor 2, pure"),
    ("orchestrator/stops", "floor 2, pure"),
    ("orchestrator/analysis", "floor 2, pure"),
    ("orchestrator/transport", "floor 2, reaching a host"),
    ("orchestrator/bundle", "floor 2, what is shipped"),
    ("orchestrator/model", "floor 1, the core types"),
    ("orchestrator/errors.py", "floor 0"),
    ("agents", "on the hosts"),
)
NOTE = "<!-- Written by docs/generate.py; change the code and run `make docs`. -->\n\n"


def main() -> int:
    pages: dict[Path, Callable[[], str]] = {
        ROOT / "docs" / "API_REFERENCE.md": api,
        REFERENCE / "cli.md": cli,
        REFERENCE / "workloads.md": workloads,
        REFERENCE / "benches.md": benches,
        REFERENCE / "stops.md": stops,
        REFERENCE / "analyses.md": analyses,
        REFERENCE / "exit-codes.md": exit_codes,
        REFERENCE / "tables.md": tables,
        REFERENCE / "playbook.schema.json": schema,
        PLAYBOOK: lambda: _between(PLAYBOOK, "facts", facts()),
        ARCHITECTURE: lambda: _between(ARCHITECTURE, "code map", code_map()),
        README: lambda: _between(README, "exit codes", "\n".join(_exit_code_table())),
    }
    stale = [path for path, page in pages.items() if _write(path, page(), only_look="--check" in sys.argv)]
    for path in stale:
        print(path.relative_to(ROOT), "is not current" if "--check" in sys.argv else "written")
    return 1 if stale and "--check" in sys.argv else 0


def _write(path: Path, text: str, *, only_look: bool) -> bool:
    if path.is_file() and path.read_text() == text:
        return False
    if not only_look:
        path.write_text(text)
    return True


def api() -> str:
    from api_reference import page

    return NOTE + page(ROOT / "native" / "include")


def cli() -> str:
    command = [sys.executable, "-m", "typer", "orchestrator.cli.app", "utils", "docs", "--name", "orch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return NOTE + done.stdout.replace("# `orch`", "# The command line", 1).strip() + "\n"


def workloads() -> str:
    from agents.workloads import TABLE

    out = ["# Workloads", "", "What a job's `workload` may be. Its settings stand under `with`.", ""]
    for name, workload in sorted(TABLE.items()):
        out += [f"## `{name}`", "", _sentence(workload.SUMMARY), ""]
        if workload.SETTINGS:
            rows = [
                (f"`{key}`", s.type, "required" if s.required else _default(s.default), s.help)
                for key, s in workload.SETTINGS.items()
            ]
            out += _table(("setting", "type", "default", "meaning"), rows)
        if workload.FREE_SETTINGS:
            out += ["Further settings are passed on: see [benches](benches.md).", ""]
    return _page(out)


def benches() -> str:
    from orchestrator.bundle.build import catalogue

    out = [
        "# Benches",
        "",
        "What `bench` of the workload `native` may be, as `orch bundle list` shows them. Every bench",
        "also reports the metrics of the [harness protocol](harness-protocol.md).",
        "",
    ]
    for bench in catalogue(ROOT / "native"):
        out += [f"## `{bench.name}`", "", _sentence(bench.summary), ""]
        if bench.unit_of_work:
            out += [f"One operation: {bench.unit_of_work}.", ""]
        if bench.settings:
            rows = [
                (f"`{s.name}`", s.type, _default(s.default), _bounds(s.min, s.max, s.choices), s.help)
                for s in bench.settings
            ]
            out += _table(("setting", "type", "default", "bounds", "meaning"), rows)
    return _page(out)


def stops() -> str:
    from orchestrator.stops import STOPS

    out = [
        "# Stop conditions",
        "",
        "What may stand in a job's `stop` list, as `- NAME: VALUE`. The first that holds ends the job.",
        "",
    ]
    for name, stop in sorted(STOPS.items()):
        module = sys.modules[stop.__module__]
        out += [f"## `{name}`", "", *_prose(module.__doc__), ""]
    return _page(out)


def analyses() -> str:
    from orchestrator.analysis import ALWAYS, ANALYSES, SHAPES

    out = [
        "# Analyses",
        "",
        "What may stand in a job's `judge` list, as `- NAME: {parameter: value}`.",
        f"Made for every run, asked for or not: {', '.join(f'`{n}`' for n in ALWAYS)}.",
        "",
    ]
    for name, analysis in sorted(ANALYSES.items()):
        out += [f"## `{name}`", "", *_prose(sys.modules[analysis.__module__].__doc__), ""]
        if SHAPES[name]:
            rows = [
                (f"`{key}`", p.kind, "required" if p.required else _default(p.default), p.doc)
                for key, p in SHAPES[name].items()
            ]
            out += _table(("parameter", "type", "default", "meaning"), rows)
    return _page(out)


def exit_codes() -> str:
    return _page(
        [
            "# Exit codes",
            "",
            *_exit_code_table(),
            "A run's code is worked out from its outcome, worst first: a step that failed or a finding that is",
            "violated gives 1; else a lost or broken host or an unknown finding gives 3; else a step that was stopped before",
            "its end gives 4; else 0. A job that reaches its `duration` has ended as planned and is not stopped.",
            "Whoever interrupts a run gets 130, whatever had been found by then; `orch report RUN` tells the rest.",
        ]
    )


def _exit_code_table() -> list[str]:
    from orchestrator.errors import EXIT_CODES

    return _table(("code", "meaning"), [(str(code), meaning) for code, meaning in EXIT_CODES.items()])


def tables() -> str:
    from orchestrator.results.tables_doc import tables_markdown

    return tables_markdown()


def schema() -> str:
    from orchestrator.model.playbook import playbook_schema

    return json.dumps(playbook_schema(), indent=1, ensure_ascii=False) + "\n"


def facts() -> str:
    from orchestrator.model.facts import FACT_NAMES

    return "\n".join(_table(("fact", "meaning"), [(f"`{n}`", what) for n, what in FACT_NAMES.items()]))


def _between(path: Path, name: str, text: str) -> str:
    """The file with ``text`` between its two comments of that name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = path.read_text().split(begin)
    return before + begin + text + end + rest.split(end)[1]


def code_map() -> str:
    lines: list[str] = []
    for place, floor in FLOORS:
        path = ROOT / place
        modules = [path] if path.suffix else sorted(path.rglob("*.py"))
        lines += [f"**`{place}`** – {floor}", ""]
        for module in modules:
            summary = _summary(module)
            if summary:
                name = module.relative_to(path if path.is_dir() else ROOT)
                lines.append(f"- `{name}` {summary}")
        lines.append("")
    return "\n".join(lines)


def _summary(module: Path) -> str:
    """The first sentence of the docstring, without its full stop."""
    doc = ast.get_docstring(ast.parse(module.read_text())) or ""
    first = " ".join(doc.split("\n\n")[0].split())
    return first.split(". ")[0].rstrip(".:")


def _prose(doc: str | None) -> list[str]:
    return [line.rstrip() for line in (doc or "").strip().splitlines()]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _default(value: object) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _bounds(low: float | None, high: float | None, choices: Iterable[str] | None) -> str:
    if choices:
        return ", ".join(f"`{c}`" for c in choices)
    if low is None and high is None:
        return ""
    return f"{_number(low)} … {_number(high)}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [_row(head), "|" + "---|" * len(head)]
    return [*lines, *(_row(r) for r in rows), ""]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _page(lines: list[str]) -> str:
    return NOTE + "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
