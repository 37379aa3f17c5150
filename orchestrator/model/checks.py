"""What must hold between the parts of a playbook: `needs`, the matrix, settings against workload and bench.

Works on the plain values, before the models: whatever is wrong elsewhere in the file, all of this is
said in the same breath. Values of a wrong type are left to the models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from agents.workloads import BadSetting, Setting
from orchestrator.model import fields, race
from orchestrator.model.expression import holds_template, is_template
from orchestrator.model.names import BenchSetting, Names, nearest, unknown
from orchestrator.model.units import kind
from orchestrator.model.yamlsource import YamlPath

#: Axes of a matrix that place a cell; every other one is a setting of the workload.
PLACING: dict[str, Callable[[Any], Any]] = {
    "threads": fields.threads,
    "placement": fields.placement,
    "mem": fields.memory,
    "variant": fields.variant,
}
#: A matrix larger than this is a slip of the pen.
MAX_CELLS = 100_000

_SCALARS = (str, int, float, bool)
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "list": ((list,), "a list"),
    "map": ((dict,), "names, each with its value"),
    "names": ((str, list), "a name or a list of names"),
    "choice": ((str,), "a text"),
}


class Problem(NamedTuple):
    path: YamlPath
    what: str
    hint: str = ""


def problems(book: Mapping[str, Any], names: Names) -> Iterator[Problem]:
    """``book``: as the file says, defaults merged into the jobs."""
    listed = book.get("jobs")
    if not isinstance(listed, list):
        return
    jobs = [(i, job) for i, job in enumerate(listed) if isinstance(job, dict)]
    yield from _needs(jobs)
    variants = _given(book, "bundle", "variants")
    for i, job in jobs:
        for problem in _job(job, names, variants):
            yield Problem(("jobs", i, *problem.path), problem.what, problem.hint)


def _given(book: Mapping[str, Any], *path: str) -> Any:
    value: Any = book
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _needs(jobs: list[tuple[int, dict[str, Any]]]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    edges: dict[str, list[tuple[str, YamlPath]]] = {}
    for i, job in jobs:
        name = job.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield Problem(("jobs", i, "name"), f"a second job {name!r}", f"the first is jobs[{first[name]}]")
            continue
        first[name] = i
        needs = job.get("needs")
        listed = needs if isinstance(needs, list) else []
        edges[name] = [(n, ("jobs", i, "needs", k)) for k, n in enumerate(listed) if isinstance(n, str)]
    for name, wanted in edges.items():
        for need, path in wanted:
            if need not in first:
                yield Problem(path, f"no job {need!r} in this playbook", nearest(need, first))
            elif need == name:
                yield Problem(path, f"{name!r} needs itself")
    for cycle in _cycles({n: [w for w, _ in wanted] for n, wanted in edges.items()}):
        path = next(p for w, p in edges[cycle[0]] if w == cycle[1])
        yield Problem(path, "needs go round in a circle: " + " → ".join(cycle))


def _cycles(edges: dict[str, list[str]]) -> list[list[str]]:
    """Each circle of at least two jobs once, as ``[a, b, a]``; without recursion, a chain may be long."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start, needs in edges.items():
        path: list[str] = []
        stack = [(start, iter(needs))] if start not in done else []
        path += [start] if stack else []
        while stack:
            name, rest = stack[-1]
            need = next(rest, None)
            if need is None:
                stack.pop()
                done.add(path.pop())
            elif need in path and need != name:
                found.append([*path[path.index(need) :], need])
            elif need in edges and need not in done and need not in path:
                path.append(need)
                stack.append((need, iter(edges[need])))
    return found


def _job(job: dict[str, Any], names: Names, variants: Any) -> Iterator[Problem]:
    matrix = job.get("matrix")
    axes = matrix if isinstance(matrix, dict) else {}
    yield from _matrix(matrix)
    yield from _settings(job, axes, names)
    yield from _length(job, names)
    if job.get("workload") == race.WORKLOAD:
        yield from _race(job, names, variants)
    elif isinstance(variants, list):
        used = axes["variant"] if isinstance(axes.get("variant"), list) else [job.get("variant", "release")]
        for one in used:
            if isinstance(one, str) and one not in variants:
                path: YamlPath = ("matrix", "variant") if "variant" in axes else ("variant",)
                yield Problem(
                    path,
                    f"variant {one!r} is not built",
                    f"add it to bundle.variants: {', '.join(map(str, variants))}",
                )


# -- the matrix ------------------------------------------------------------------------------------------


def _matrix(matrix: Any) -> Iterator[Problem]:
    if matrix is None:
        return
    if not isinstance(matrix, dict):
        yield Problem(
            ("matrix",), f"expected axes with their values, got {kind(matrix)}", "such as {threads: [1, 2]}"
        )
        return
    cells = 1
    for axis, values in matrix.items():
        if not isinstance(values, list):
            yield Problem(("matrix", axis), f"expected a list of values, got {kind(values)}")
        elif not values:
            yield Problem(("matrix", axis), "has no values", "at least one, or leave the axis out")
        elif axis == "exclude":
            yield from _exclude(values, matrix)
        else:
            cells *= len(values)
            yield from _axis(axis, values)
    if cells > MAX_CELLS:
        yield Problem(("matrix",), f"{cells} cells", f"at most {MAX_CELLS}")


def _axis(axis: str, values: list[Any]) -> Iterator[Problem]:
    seen: set[tuple[str, Any]] = set()
    for i, value in enumerate(values):
        path = ("matrix", axis, i)
        if not isinstance(value, _SCALARS):
            yield Problem(path, f"expected a text or a number, got {kind(value)}")
            continue
        if (type(value).__name__, value) in seen:
            yield Problem(path, f"{value!r} is given twice")
        seen.add((type(value).__name__, value))
        if axis in PLACING and (axis == "variant" or not is_template(value)):
            try:
                PLACING[axis](value)
            except PydanticCustomError as e:
                yield Problem(path, *_said(e))


def _said(e: PydanticCustomError) -> tuple[str, str]:
    context = e.context or {}
    return str(context.get("what", e)), str(context.get("hint", ""))


def _exclude(rules: list[Any], matrix: dict[str, Any]) -> Iterator[Problem]:
    axes = [a for a in matrix if a != "exclude"]
    for i, rule in enumerate(rules):
        if not isinstance(rule, dict) or not rule:
            yield Problem(("matrix", "exclude", i), f"expected axes with a value each, got {kind(rule)}")
            continue
        for axis, value in rule.items():
            path = ("matrix", "exclude", i, axis)
            if axis not in axes:
                yield Problem(path, *unknown("axis", axis, axes))
            elif isinstance(matrix[axis], list) and not is_template(value) and value not in matrix[axis]:
                yield Problem(
                    path, f"the axis has no value {value!r}", nearest(value, map(str, matrix[axis]))
                )


# -- settings --------------------------------------------------------------------------------------------


def _settings(job: dict[str, Any], axes: dict[str, Any], names: Names) -> Iterator[Problem]:
    workload = names.workloads.get(str(job.get("workload")))
    given = job.get("with", {})
    if workload is None or not isinstance(given, dict):
        return
    for name, setting in workload.SETTINGS.items():
        if setting.required and name not in given and name not in axes:
            yield Problem(("with",), f"{name} is missing: {setting.help}")
    values: list[tuple[YamlPath, str, Any]] = [(("with", k), k, v) for k, v in given.items()]
    for axis, listed in axes.items():
        if axis not in PLACING and axis != "exclude" and isinstance(listed, list):
            values += [(("matrix", axis, i), axis, v) for i, v in enumerate(listed)]
    explored = _explores(job, axes)
    known = {} if explored else _known_benches(values, names)
    for path, name, value in values:
        declared = workload.SETTINGS.get(name)
        if declared is not None:
            yield from _declared(path, declared, value)
            if name == "bench":
                yield from _scenario(path, value, names) if explored else _bench(path, value, names)
        elif not workload.FREE_SETTINGS:
            yield from _unknown_setting(path, name, workload.SETTINGS)
        elif "bench" in workload.SETTINGS:
            for bench, settings in known.items():
                yield from _of_bench(path, name, value, bench, settings)


def _explores(job: dict[str, Any], axes: dict[str, Any]) -> bool:
    """In the variant `explore` a bench is a scenario, and the program itself knows its settings."""
    variants = axes.get("variant", [job.get("variant")])
    return isinstance(variants, list) and "explore" in variants


def _scenario(path: YamlPath, value: Any, names: Names) -> Iterator[Problem]:
    scenarios = names.scenarios()
    listed = [one for of_subject in (scenarios or {}).values() for one in of_subject]
    if scenarios and isinstance(value, str) and not is_template(value) and value not in listed:
        what, hint = unknown("scenario", value, listed)
        closed = list(filter(race.stands_in, listed))
        yield Problem(path, what, f"{', '.join(closed)} does not compile; {hint}" if closed else hint)


def _unknown_setting(path: YamlPath, name: str, known: Collection[str], of: str = "") -> Iterator[Problem]:
    """An axis of the matrix is told once, at its name, not for each of its values."""
    if path[0] == "matrix" and path[2] != 0:
        return
    what, hint = unknown("setting", name, known)
    yield Problem(path[:2], what + of, hint if known or not of else "the bench takes none")


def _bench(path: YamlPath, value: Any, names: Names) -> Iterator[Problem]:
    checkable = names.benches is not None and isinstance(value, str) and not is_template(value)
    if checkable and names.benches is not None and value not in names.benches:
        yield Problem(path, *unknown("bench", value, names.benches))


def _known_benches(
    values: Sequence[tuple[YamlPath, str, Any]], names: Names
) -> dict[str, Sequence[BenchSetting]]:
    """The benches of a job whose settings are known."""
    benches = names.benches or {}
    used = [v for _, name, v in values if name == "bench" and isinstance(v, str)]
    return {b: known for b in used if (known := benches.get(b)) is not None}


def _of_bench(
    path: YamlPath, name: str, value: Any, bench: str, settings: Sequence[BenchSetting]
) -> Iterator[Problem]:
    setting = next((s for s in settings if s.name == name), None)
    if setting is None:
        yield from _unknown_setting(path, name, [s.name for s in settings], f" of bench {bench}")
        return
    wrong = list(_fits(path, setting.type, setting.choices, value))
    yield from wrong
    if wrong or isinstance(value, str | bool) or not isinstance(value, int | float):
        return
    low, high = setting.min, setting.max
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = [f"{word} {n:.12g}" for word, n in (("at least", low), ("at most", high)) if n is not None]
        yield Problem(path, f"{value} is out of bounds for bench {bench}", ", ".join(bounds))


def _fits(path: YamlPath, type_: str, choices: Sequence[str] | None, value: Any) -> Iterator[Problem]:
    if is_template(value) or type_ not in _TYPES:
        return
    fits = type_ == "bool" if isinstance(value, bool) else isinstance(value, _TYPES[type_][0])
    if not fits:
        yield Problem(path, f"expected {_TYPES[type_][1]}, got {kind(value)}")
    elif choices and value not in choices:
        yield Problem(path, *unknown("value", value, choices))


def _declared(path: YamlPath, setting: Setting, value: Any) -> Iterator[Problem]:
    wrong = list(_fits(path, setting.type, setting.choices, value))
    yield from wrong
    if setting.check is None or wrong or holds_template(value):
        return
    try:
        setting.check(value)
    except BadSetting as e:
        yield Problem(path, str(e).partition(": ")[2])


def _length(job: dict[str, Any], names: Names) -> Iterator[Problem]:
    """A native bench runs for as long as it is told: something must tell."""
    workload = names.workloads.get(str(job.get("workload")))
    if workload is None or not workload.EXPECTS_RECORDS or job.get("workload") == race.WORKLOAD:
        return
    stops = job.get("stop")
    soak = isinstance(stops, list) and any(isinstance(s, dict) and "duration" in s for s in stops)
    told = _given(job, "measure", "seconds") is not None
    if "seconds" in workload.SETTINGS and (
        _given(job, "with", "seconds") is not None or _given(job, "matrix", "seconds") is not None
    ):
        if told:
            yield Problem(("with", "seconds"), "measure.seconds says it, too", "leave one of them out")
        told = True
    if soak and not told and "launches" in job:
        yield Problem(
            ("launches",),
            "each as long as the whole duration?",
            "add measure: {seconds: 5s}, or leave it out",
        )
    elif not soak and not told:
        yield Problem(
            ("measure", "seconds"),
            "how long is a launch?",
            "add measure: {seconds: 5s}, or stop: [{duration: 1h}]",
        )


# -- a search for races ----------------------------------------------------------------------------------


def _race(job: dict[str, Any], names: Names, built: Any) -> Iterator[Problem]:
    """It makes its own cells, and divides its own time."""
    for key in race.NOT_ITS_OWN:
        if key in job:
            hint = "`with.budget` says how long it may take" if key == "measure" else "leave it out"
            yield Problem((key,), f"a race job works out its own {key}", hint)
    given = job.get("with", {})
    if not isinstance(given, dict):
        return
    # what is of no type at all has been told
    plain = {k: v for k, v in given.items() if isinstance(v, str | list) and not is_template(v)}
    small = race.too_small(plain) if len(plain) == len(given) else None
    if small is not None:  # before the explorer is built for the names of its scenarios
        yield Problem(("with", small[0]), small[1], small[2])
        return
    scenarios = names.scenarios() if "explore" in race.variants(plain) else None
    for name, what, hint in race.wrong_settings(plain, scenarios or {}):
        yield Problem(("with", name), what, hint)
    for variant in race.variants(plain) if isinstance(built, list) else ():
        if variant not in built:
            yield Problem(
                ("with", "detectors") if "detectors" in given else ("with",),
                f"variant {variant!r} is not built",
                f"add it to bundle.variants: {', '.join(map(str, built))}",
            )
