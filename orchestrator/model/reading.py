"""From files to `Playbook` and `Inventory`, with every error of both at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import InputError, InputErrors
from orchestrator.model import yamlsource
from orchestrator.model.checks import Problem, problems
from orchestrator.model.expression import ExpressionError, is_template, parse, template
from orchestrator.model.facts import FACT_NAMES
from orchestrator.model.inventory import Inventory, PatternError, read_inventory
from orchestrator.model.names import Names, nearest, unknown
from orchestrator.model.playbook import Playbook
from orchestrator.model.said import problems_of
from orchestrator.model.units import kind
from orchestrator.model.yamlsource import Source, YamlPath, in_order

#: Keys of a job whose value may depend on the host: filled in when its facts are known.
PER_HOST = frozenset(["with", "matrix", "threads", "placement", "mem"])
ENVIRONMENT = "ORCH_VAR_"

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def read(
    playbook: Path | str,
    inventory: Path | None,
    names: Names,
    *,
    sets: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    limit: str | None = None,
) -> tuple[Playbook, Inventory]:
    """``playbook``: a file, or the text of one. ``inventory``: None for this machine. ``sets`` are texts as
    given by ``--set``, stronger than ORCH_VAR_NAME of ``environ`` (None: this process's), which is stronger
    than the file. Raises InputErrors: what is wrong in either file, in the patterns between them, in
    ``sets`` and ``limit``."""
    fleet, more = read_inventory(inventory)
    made, errors = check_playbook(
        playbook, names, sets=sets, environ=environ, inventory=fleet, limit=limit if fleet else None
    )
    errors += more
    if errors or made is None or fleet is None:
        raise InputErrors(errors)
    return made, fleet


def check_playbook(
    playbook: Path | str,
    names: Names,
    *,
    sets: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    inventory: Inventory | None = None,
    limit: str | None = None,
) -> tuple[Playbook | None, list[InputError]]:
    """As `read`, without raising, and for one file. Without an inventory, host patterns are not looked up."""
    overrides = _Overrides(dict(sets or {}), os.environ if environ is None else environ)
    book, errors = read_playbook(playbook, names, overrides)
    errors = in_order([*errors, *_patterns(book, inventory, limit)])
    return (None if errors else book.playbook), errors


@dataclass(frozen=True)
class Book:
    """What could be read of a playbook: ``playbook`` is None where there were errors."""

    source: Source
    playbook: Playbook | None = None


@dataclass(frozen=True)
class _Overrides:
    sets: Mapping[str, str]
    environ: Mapping[str, str]

    def of(self, name: str) -> str | None:
        if name in self.sets:
            return self.sets[name]
        return self.environ.get(ENVIRONMENT + name, self.environ.get(ENVIRONMENT + name.upper()))


def read_playbook(
    playbook: Path | str, names: Names, overrides: _Overrides | None = None
) -> tuple[Book, list[InputError]]:
    """The playbook by itself, in the order of the file; see `read`."""
    file = str(playbook) if isinstance(playbook, Path) else "(command line)"
    try:
        text = playbook.read_text() if isinstance(playbook, Path) else playbook
    except (OSError, UnicodeDecodeError) as e:
        return Book(Source(file, None)), [InputError(file, f"cannot be read: {_reason(e)}")]
    source, errors = yamlsource.read(file, text)
    if source.value is None:
        return Book(source), errors
    if not isinstance(source.value, dict):
        return Book(source), [source.error((), f"expected a playbook, got {kind(source.value)}")]
    reader = _Reader(source, names, overrides or _Overrides({}, {}), errors)
    made = reader.playbook()
    # a wrong default shows in every job
    return Book(source, made), in_order(reader.errors)


@dataclass
class _Reader:
    source: Source
    names: Names
    overrides: _Overrides
    errors: list[InputError]
    #: paths that have their error: the models' word on the same value would only repeat it
    bad: set[YamlPath] = field(default_factory=set)
    #: texts whose template could not be filled in: what the models say of them, or of what is around them, is noise
    unfilled: set[YamlPath] = field(default_factory=set)

    def playbook(self) -> Playbook | None:
        raw = dict(self.source.value)
        variables = self._variables(raw)
        book = {
            k: v if k == "where" else self._fill(v, (k,), variables) for k, v in raw.items() if k != "vars"
        }
        self._check_where(raw.get("where"), variables)
        defaults = book.pop("defaults", None)
        if defaults is not None and not isinstance(defaults, dict):
            self._add(Problem(("defaults",), f"expected a mapping, got {kind(defaults)}"))
            defaults = None
        if isinstance(book.get("jobs"), list):
            jobs = [_merged(defaults or {}, j) if isinstance(j, dict) else j for j in book["jobs"]]
            book = {**book, "jobs": jobs}
        for key in ("name", "needs"):
            if key in (defaults or {}):
                self._add(Problem(("defaults", key), f"{key!r} is each job's own"))
        for problem in problems(book, self.names):
            self._add(problem)
        return self._validated({**book, "vars": variables})

    def _validated(self, book: dict[str, Any]) -> Playbook | None:
        try:
            made = Playbook.model_validate(book, context=self.names)
        except ValidationError as e:
            for problem in problems_of(Playbook, e):
                above = any(problem.path[: len(b)] == b for b in self.bad)
                below = any(u[: len(problem.path)] == problem.path for u in self.unfilled)
                if not above and not below:
                    self._add(problem)
            return None
        return None if self.errors else made

    def _add(self, problem: Problem) -> None:
        self.bad.add(problem.path)
        path = self._written(problem.path)
        self.errors.append(self.source.error(path, problem.what, problem.hint))

    def _written(self, path: YamlPath) -> YamlPath:
        """Where it stands in the file: what a job does not have itself came from `defaults`."""
        if path in self.source.lines or path[:1] != ("jobs",):
            return path
        for end in range(len(path), 2, -1):
            if path[:end] in self.source.lines:
                return path
            if ("defaults", *path[2:end]) in self.source.lines:
                return ("defaults", *path[2:])
        return path

    # -- variables and templates -----------------------------------------------------------------

    def _variables(self, raw: dict[str, Any]) -> dict[str, Any]:
        """In the order of the file: a variable may use those above it."""
        given = raw.get("vars")
        if given is not None and not isinstance(given, dict):
            self._add(Problem(("vars",), f"expected names with values, got {kind(given)}"))
        known: dict[str, Any] = {}
        for name, value in (given if isinstance(given, dict) else {}).items():
            path: YamlPath = ("vars", name)
            if not _IDENTIFIER.fullmatch(name):
                self._add(Problem(path, f"{name!r} cannot be a variable", "letters, digits, underscore"))
            if name in FACT_NAMES:
                self._add(
                    Problem(path, f"{name!r} is the name of a fact: {FACT_NAMES[name]}", "take another")
                )
            text = self.overrides.of(name)
            known[name] = self._fill(value, path, known) if text is None else _scalar(text)
        for name in self.overrides.sets:
            if name not in known:
                what, hint = unknown("variable", name, known)
                hint = hint if known else "the playbook has no `vars`"
                self.errors.append(InputError(f"--set {name}", what, hint))
        return known

    def _fill(self, value: Any, path: YamlPath, variables: Mapping[str, Any]) -> Any:
        if isinstance(value, dict):
            return {k: self._fill(v, (*path, k), variables) for k, v in value.items()}
        if isinstance(value, list):
            return [self._fill(v, (*path, i), variables) for i, v in enumerate(value)]
        return self._fill_text(value, path, variables) if is_template(value) else value

    def _fill_text(self, text: str, path: YamlPath, variables: Mapping[str, Any]) -> Any:
        per_host = _is_per_host(path)
        try:
            made = template(text)
            used = made.names
            if self._known(used, path, variables, per_host) and not used & FACT_NAMES.keys():
                return made.evaluate(variables)
        except ExpressionError as e:
            self._add(Problem(path, str(e)))
        if not per_host or path in self.bad:
            self.unfilled.add(path)
        return text  # for the host: `planning.expand` fills it in

    def _known(self, used: frozenset[str], path: YamlPath, variables: Mapping[str, Any], facts: bool) -> bool:
        for name in sorted(used):
            if name in variables or (facts and name in FACT_NAMES):
                continue
            if name in FACT_NAMES:
                where = ", ".join(sorted(PER_HOST))
                self._add(
                    Problem(path, f"`{name}` is a fact of a host: not known here", f"facts: in {where}")
                )
            else:
                known = [*variables, *(FACT_NAMES if facts else ())]
                self._add(Problem(path, f"no variable {name!r}", nearest(name, known)))
            return False
        return True

    def _check_where(self, text: Any, variables: Mapping[str, Any]) -> None:
        if isinstance(text, str):
            try:
                self._known(parse(text).names, ("where",), variables, facts=True)
            except ExpressionError:
                return  # the model says it


def _is_per_host(path: YamlPath) -> bool:
    return (path[0] == "jobs" and len(path) > 2 and path[2] in PER_HOST) or (
        path[0] == "defaults" and len(path) > 1 and path[1] in PER_HOST
    )


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings key by key, but a matrix as a whole: axes of two places would multiply unseen."""
    made = dict(under)
    for key, value in over.items():
        below = made.get(key)
        both = isinstance(below, dict) and isinstance(value, dict) and key != "matrix"
        made[key] = _merged(below, value) if both else value  # type: ignore[arg-type] # `both` says that they are mappings
    return made


def _scalar(text: str) -> Any:
    """A value of the command line or environment, as YAML would read it in the file."""
    source, errors = yamlsource.read("", text)
    plain = source.value is None or isinstance(source.value, str | int | float | bool | list)
    return source.value if not errors and plain else text


def _patterns(book: Book, inventory: Inventory | None, limit: str | None) -> Iterator[InputError]:
    """Host patterns of the playbook against the inventory."""
    raw = book.source.value
    if isinstance(raw, dict):
        yield from _pattern(book.source, ("hosts",), raw.get("hosts", "all"), inventory)
        jobs = raw.get("jobs")
        for i, job in enumerate(jobs if isinstance(jobs, list) else []):
            if isinstance(job, dict) and "hosts" in job:
                yield from _pattern(book.source, ("jobs", i, "hosts"), job["hosts"], inventory)
        defaults = raw.get("defaults")
        if isinstance(defaults, dict) and "hosts" in defaults:
            yield from _pattern(book.source, ("defaults", "hosts"), defaults["hosts"], inventory)
    if limit is not None and inventory is not None:
        try:
            inventory.select(limit)
        except PatternError as e:
            yield InputError(f"--limit {limit}", str(e), e.hint)


def _pattern(
    source: Source, path: YamlPath, pattern: Any, inventory: Inventory | None
) -> Iterator[InputError]:
    if not isinstance(pattern, str) or is_template(pattern):
        return
    try:
        if inventory is not None:
            inventory.select(pattern)
        elif not pattern.strip(" :,"):
            raise PatternError("an empty host pattern", "such as all")
    except PatternError as e:
        yield source.error(path, str(e), e.hint)


def _reason(e: OSError | UnicodeDecodeError) -> str:
    return (e.strerror or str(e)) if isinstance(e, OSError) else "not UTF-8 text"
