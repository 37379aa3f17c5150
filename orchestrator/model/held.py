"""How a playbook says that its hosts are held, and what they are set to meanwhile."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from orchestrator.model import fields
from orchestrator.model.fields import Strict, one_of, wrong
from orchestrator.model.names import unknown

#: Shorter ones would be missed by a busy controller.
SHORTEST_TTL_S = 2.0


class LeaseSpec(Strict):
    """One holder per host. A plain duration stands for ``for``."""

    longest: fields.Duration = Field(default=86400.0, alias="for")
    busy: Literal["wait", "skip", "fail"] = "wait"
    patience: fields.Duration = 600.0
    ttl: fields.Duration = 60.0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.ttl < SHORTEST_TTL_S:
            raise wrong(f"ttl: shorter than {SHORTEST_TTL_S:g}s", "a sign of life counts for that long")
        if self.longest <= 0:
            raise wrong("for: must be more than 0s")
        return self


def _short(value: Any) -> Any:
    """``none`` and ``6h``."""
    if value == "none":
        return None
    return {"for": value} if isinstance(value, str) else value


#: setting → what it may be; empty: any word, such as the governors that a kernel has
KNOBS: dict[str, tuple[str, ...]] = {
    "governor": (),
    "smt": ("on", "off"),
    "thp": ("always", "madvise", "never"),
    "numa_balancing": ("on", "off"),
    "aslr": ("off", "conservative", "full"),
    "irqs": (),
}


def _tune(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise wrong("expected settings", "such as {governor: performance, thp: never}")
    return {name: _knob(name, given) for name, given in value.items()}


def _knob(name: str, given: Any) -> str:
    if name not in KNOBS:
        raise wrong(*unknown("setting", name, KNOBS))
    # YAML reads on and off as true and false
    word = {True: "on", False: "off"}.get(given, given) if isinstance(given, bool) else given
    word = str(word) if isinstance(word, int) else word
    if KNOBS[name]:
        return one_of(name, KNOBS[name])(word)
    if not isinstance(word, str) or not word.strip() or any(c in word for c in ";=\n"):
        raise wrong(f"{name}: expected a word", "such as performance, or for irqs a list of CPUs such as 0-1")
    return word.strip()


Lease = Annotated[LeaseSpec | None, BeforeValidator(_short)]
Tune = Annotated[
    dict[str, str],
    PlainValidator(_tune),
    PlainSerializer(lambda settings: settings),
    WithJsonSchema({"type": "object", "properties": {k: {} for k in KNOBS}, "additionalProperties": False}),
]
