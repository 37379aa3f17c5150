"""Parameters of an analysis, as a playbook gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Parameters = Mapping[str, Any]


class ParametersError(ValueError):
    """A parameter that is missing, unknown, or not of its kind; ``str`` says which and why."""


@dataclass(frozen=True)
class Parameter:
    """``fraction``: "99%" or 0.99; ``number``: any number; ``text``: a word."""

    kind: Literal["text", "fraction", "number"]
    doc: str
    default: Any = None
    required: bool = False


Shape = Mapping[str, Parameter]


def read(shape: Shape, given: Parameters) -> dict[str, Any]:
    """Every parameter of the shape with its value, None where it has no default. Raises ParametersError."""
    wrong = check(shape, given)
    if wrong:
        raise ParametersError("; ".join(wrong))
    return {n: _value(n, p, given[n]) if n in given else p.default for n, p in shape.items()}


def check(shape: Shape, given: Parameters) -> list[str]:
    wrong = []
    for name in given:
        if name not in shape:
            known = ", ".join(sorted(shape)) or "none"
            wrong.append(f"unknown parameter {name!r}; it takes {known}")
    for name, parameter in shape.items():
        if name not in given:
            if parameter.required:
                wrong.append(f"parameter {name!r} is missing: {parameter.doc}")
            continue
        try:
            _value(name, parameter, given[name])
        except ParametersError as e:
            wrong.append(str(e))
    return wrong


def _value(name: str, parameter: Parameter, given: Any) -> Any:
    if parameter.kind == "fraction":
        return fraction(given, name)
    if parameter.kind == "number":
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise ParametersError(f"{name}: expected a number, got {given!r}")
        return float(given)
    if isinstance(given, bool | dict | list) or given is None:
        raise ParametersError(f"{name}: expected a word, got {given!r}")
    return str(given)


def fraction(given: Any, name: str = "value") -> float:
    """``"99%"`` → 0.99, ``0.99`` → 0.99. Above 0 and below 1."""
    try:
        value = float(given[:-1]) / 100 if isinstance(given, str) and given.endswith("%") else float(given)
    except (TypeError, ValueError) as e:
        raise ParametersError(f"{name}: expected a percentage such as 99%, got {given!r}") from e
    if isinstance(given, bool) or not 0 < value < 1:
        raise ParametersError(f"{name}: expected more than 0% and less than 100%, got {given!r}")
    return value
