"""Types of the fields that people write: each says in its own words what is wrong with a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from orchestrator.model import units
from orchestrator.model.expression import ExpressionError, is_template, parse
from orchestrator.model.names import EXPORTS, VARIANTS, Names, unknown
from orchestrator.model.placement import PlacementError, check_memory, check_placement
from orchestrator.model.plan import JudgeSpec, StopSpec
from orchestrator.model.units import kind

#: Names of hosts and jobs become file names.
NAME_PATTERN = r"^[A-Za-z0-9._-]+$"
_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


class Strict(BaseModel):
    """What a person wrote: nothing is added, nothing coerced, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def wrong(what: str, hint: str = "") -> PydanticCustomError:
    # braces would be taken for the placeholders of a template
    return PydanticCustomError("orch", "{what}", {"what": what, "hint": hint})


def names_in(info: ValidationInfo) -> Names | None:
    """The tables to check names against, where the reader gave some."""
    return info.context if isinstance(info.context, Names) else None


def _with_hint(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        try:
            return make(value)
        except (units.UnitError, PlacementError) as e:
            raise wrong(str(e), e.hint) from e

    return validate


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(f"expected a name, got {kind(value)}")
    if not _NAME.fullmatch(value) or value.strip(".") == "" or len(value) > 100:
        raise wrong(
            f"{value!r} cannot be a name", "letters, digits, dot, underscore, hyphen; at most 100 of them"
        )
    return value


def _where(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(f"expected an expression, got {kind(value)}", 'such as "cpus >= 16"')
    try:
        parse(value)
    except ExpressionError as e:
        raise wrong(str(e), 'such as "cpus >= 16 and numa_nodes >= 2"') from e
    return value


def _deferred(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A template is left as it is: it is filled in per host, when its facts are known."""

    def validate(value: Any) -> Any:
        return value if is_template(value) else check(value)

    return validate


def threads(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(f"expected a number of threads, got {kind(value)}")
    if not 1 <= value <= 65536:
        raise wrong(f"{value} threads", "at least 1")
    return value


def _text(check: Callable[[str], str]) -> Callable[[Any], Any]:
    def validate(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong(f"expected a text, got {kind(value)}")
        return _with_hint(check)(value)  # type: ignore[no-any-return] # `check` gives a text

    return validate


placement = _text(check_placement)
memory = _text(check_memory)


def one_of(what: str, known: tuple[str, ...]) -> Callable[[Any], str]:
    def validate(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise wrong(*unknown(what, value, known))
        return value

    return validate


variant = one_of("variant", VARIANTS)


def _single(value: Any, what: str) -> tuple[str, Any]:
    """``{name: argument}`` or ``name``."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, dict) and len(value) == 1:
        (item,) = value.items()
        return item
    raise wrong(f"expected one {what} with its argument, got {kind(value)}", "such as {name: argument}")


def _stop(value: Any, info: ValidationInfo) -> StopSpec:
    name, argument = _single(value, "stop condition")
    tables = names_in(info)
    if tables is None:
        return StopSpec(name, argument)
    if name not in tables.stops:
        raise wrong(*unknown("stop condition", name, tables.stops))
    try:
        return StopSpec(name, tables.stops[name](argument))
    except ValueError as e:
        raise wrong(f"{name}: {e}", getattr(e, "hint", "")) from e


def _judge(value: Any, info: ValidationInfo) -> JudgeSpec:
    name, parameters = _single(value, "judge")
    if parameters is not None and not isinstance(parameters, dict):
        raise wrong(f"{name}: expected its parameters, got {kind(parameters)}", "such as {metric: …}")
    spec = JudgeSpec(name, parameters or {})
    tables = names_in(info)
    if tables is None:
        return spec
    if name not in tables.judges:
        raise wrong(*unknown("judge", name, tables.judges))
    if bad := tables.check_judge(spec):
        raise wrong(f"{name}: {'; '.join(bad)}")
    return spec


def _workload(value: Any, info: ValidationInfo) -> str:
    tables = names_in(info)
    if not isinstance(value, str):
        raise wrong(f"expected the name of a workload, got {kind(value)}")
    if tables is not None and value not in tables.workloads:
        raise wrong(*unknown("workload", value, tables.workloads))
    return value


_DEFERRED = {"type": "string", "pattern": r"\{\{.*\}\}"}


def _decimal(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": pattern}, _DEFERRED], "examples": [example]}
    )


_ONE_KEY = {"type": "object", "minProperties": 1, "maxProperties": 1}


def _written(argument: Any) -> Any:
    """A stop's time is kept as a float of seconds; counts are whole numbers."""
    return f"{_decimal(argument)}s" if isinstance(argument, float) else argument


Name = Annotated[str, PlainValidator(_name), _schema(NAME_PATTERN, "scaling")]
#: seconds
Duration = Annotated[
    float,
    BeforeValidator(_with_hint(units.duration)),
    PlainSerializer(lambda seconds: f"{_decimal(seconds)}s"),
    _schema(units.DURATION_PATTERN, "5s"),
]
#: bytes
Size = Annotated[
    int,
    BeforeValidator(_with_hint(units.size)),
    PlainSerializer(lambda size: f"{size}B"),
    _schema(units.SIZE_PATTERN, "2GiB"),
]
#: 0.02 for 2%
Share = Annotated[
    float,
    BeforeValidator(_with_hint(units.percentage)),
    PlainSerializer(lambda share: f"{_decimal(share * 100)}%"),
    _schema(units.PERCENT_PATTERN, "2%"),
]
Where = Annotated[str, PlainValidator(_where), WithJsonSchema({"type": "string"})]
Threads = Annotated[
    int | str,
    PlainValidator(_deferred(threads)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, _DEFERRED]}),
]
Placement = Annotated[str, PlainValidator(_deferred(placement)), WithJsonSchema({"type": "string"})]
Memory = Annotated[str, PlainValidator(_deferred(memory)), WithJsonSchema({"type": "string"})]
Variant = Annotated[str, PlainValidator(variant), WithJsonSchema({"enum": list(VARIANTS)})]
Export = Annotated[str, PlainValidator(one_of("export", EXPORTS)), WithJsonSchema({"enum": list(EXPORTS)})]
Workload = Annotated[str, PlainValidator(_workload), WithJsonSchema({"type": "string"})]
Stop = Annotated[
    StopSpec,
    PlainValidator(_stop),
    PlainSerializer(lambda spec: {spec.name: _written(spec.argument)}),
    WithJsonSchema(_ONE_KEY),
]
Judge = Annotated[
    JudgeSpec,
    PlainValidator(_judge),
    PlainSerializer(lambda spec: {spec.name: spec.parameters}),
    WithJsonSchema({"anyOf": [_ONE_KEY, {"type": "string"}]}),
]
