"""From a job to its cells, and from a cell on a host to what it needs there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticCustomError

from orchestrator.model.checks import PLACING
from orchestrator.model.expression import ExpressionError, Template, holds_template, is_template, template
from orchestrator.model.playbook import Job
from orchestrator.model.race import WORKLOAD, wrong_settings
from orchestrator.planning.race import Scenarios, race_cells


@dataclass(frozen=True)
class Cell:
    """One point of a job's matrix. ``number`` counts in the full product, excluded ones too: it stays
    the same whatever is excluded. Templates are filled in where the names are known."""

    number: int
    axes: dict[str, Any]
    settings: dict[str, Any]
    threads: int
    placement: str
    mem: str | None
    variant: str
    #: why it cannot be run at all, "" where it can
    wrong: str = ""
    #: of its window; None: as the job says
    seconds: float | None = None

    @property
    def bench(self) -> str:
        return str(self.settings.get("bench", ""))


def cells(job: Job, names: Mapping[str, Any] | None, scenarios: Scenarios | None = None) -> Iterator[Cell]:
    """The matrix in the order of the file, the last axis turning fastest, without what is excluded.
    ``names``: what templates may use; None for a host of which nothing is known. ``scenarios``: subject → scenarios
    of the explorer, for a race job; it raises InputError where its budget is too small for its cells."""
    if job.workload == WORKLOAD:
        yield from _of_race(job, names, scenarios)
        return
    axes = {a: v for a, v in job.matrix.items() if a != "exclude"}
    rules = job.matrix.get("exclude", [])
    for number, values in enumerate(itertools.product(*axes.values())):
        cell, wrong = _filled(dict(zip(axes, values, strict=True)), names)
        rule_hits = any(all(cell.get(a) == v for a, v in rule.items()) for rule in rules)
        if not rule_hits:
            yield _cell(job, number, cell, names, wrong)


def _of_race(job: Job, names: Mapping[str, Any] | None, scenarios: Scenarios | None) -> Iterator[Cell]:
    filled, wrong = _filled({"settings": job.settings, "threads": job.threads, "mem": job.mem}, names)
    wrong = wrong or next(
        (f"{n}: {what}" for n, what, _ in wrong_settings(filled["settings"], scenarios or {})), ""
    )
    if wrong or holds_template(filled["settings"]):
        # nothing is known of its host, or a template gave what is no setting there
        yield Cell(0, {}, dict(job.settings), 0, str(job.placement), job.mem, job.variant, wrong)
        return
    threads = filled["threads"] if isinstance(filled["threads"], int) else 1
    for number, c in enumerate(race_cells(job.name, filled["settings"], threads, scenarios)):
        yield Cell(
            number, c.axes, c.settings, c.threads, c.placement, filled["mem"], c.variant, "", c.seconds
        )


def depends_on_host(job: Job) -> bool:
    """Whether two hosts may have different cells: a template is left in what is per host."""
    return any(map(holds_template, (job.settings, job.matrix, job.threads, job.placement, job.mem)))


def _cell(job: Job, number: int, axes: dict[str, Any], names: Mapping[str, Any] | None, wrong: str) -> Cell:
    settings, bad = _filled(job.settings, names)
    where, worse = _filled({"threads": job.threads, "placement": job.placement, "mem": job.mem}, names)
    where["variant"] = job.variant
    for axis, value in axes.items():
        (where if axis in PLACING else settings)[axis] = value
    wrong = wrong or bad or worse or _check(where, known=names is not None)
    threads = where["threads"]
    # told once, as the length of the step
    seconds = settings.pop("seconds", None) if job.tells_seconds else None
    return Cell(
        number,
        axes,
        settings,
        threads if isinstance(threads, int) else 0,
        str(where["placement"]),
        where["mem"],
        where["variant"],
        wrong,
        float(seconds) if isinstance(seconds, int | float) else None,
    )


def _check(where: dict[str, Any], *, known: bool) -> str:
    """A template may give something that is no placement, or no number of threads, on this host."""
    for name, check in PLACING.items():
        value = where[name]
        if value is None or (is_template(value) and not known):
            continue
        try:
            check(value)
        except PydanticCustomError as e:
            return f"{name}: {(e.context or {}).get('what', e)}"
    return ""


def _filled(value: Any, names: Mapping[str, Any] | None) -> tuple[Any, str]:
    """(the value with its templates filled in, why one could not be)"""
    if names is None:
        return (dict(value) if isinstance(value, dict) else value), ""
    try:
        return _fill(value, names), ""
    except ExpressionError as e:
        return dict(value), str(e)


def _fill(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {k: _fill(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, names) for v in value]
    return _template(value).evaluate(names) if is_template(value) else value


@lru_cache(maxsize=1024)
def _template(text: str) -> Template:
    return template(text)
