"""What pydantic found, in the words of this program: path, what, hint with the nearest valid name."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.model.checks import Problem
from orchestrator.model.names import unknown
from orchestrator.model.units import kind

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def problems_of(model: type[BaseModel], error: ValidationError) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        yield Problem(detail["loc"], *_said(model, detail))


def _said(model: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    kind_, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    path = detail["loc"]
    if kind_ == "orch":
        return str(context["what"]), str(context["hint"])
    if kind_ == "extra_forbidden":
        return unknown("key", path[-1], _keys(model, path[:-1]))
    if kind_ == "missing":
        return "is missing", ""
    if kind_ in _EXPECTED:
        return f"expected {_EXPECTED[kind_]}, got {kind(given)}", ""
    if kind_ == "literal_error":
        return f"expected {context.get('expected')}, got {kind(given)}", ""
    if kind_ == "too_short":
        return "is empty", ""
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{kind(given)}: must be {text}" if "should" in detail["msg"] else text, ""


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that are right at ``path``."""
    shape: Any = model
    for part in path:
        shape = _into(shape, part)
        if shape is None:
            return []
    if not _is_model(shape):
        return []
    return [f.alias or name for name, f in shape.model_fields.items()]


def _into(shape: Any, part: int | str) -> Any:
    if _is_model(shape):
        for name, f in shape.model_fields.items():
            if part in (name, f.alias):
                return _bare(f.annotation)
        return None
    arguments = typing.get_args(shape)
    return _bare(arguments[-1]) if arguments else None


def _bare(shape: Any) -> Any:
    """Without ``| None``."""
    if typing.get_origin(shape) in (typing.Union, types.UnionType):
        return next((a for a in typing.get_args(shape) if a is not type(None)), None)
    return shape


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)
