"""Faults that a playbook asks for while a job measures: which there are, how often, and for how long each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from orchestrator.model import units
from orchestrator.model.fields import wrong
from orchestrator.model.names import nearest
from orchestrator.model.plan import NemesisSpec

#: fault → the settings that it takes beside `every`
FAULTS: dict[str, tuple[str, ...]] = {
    "jitter": ("for",),
    "memory": ("for", "use"),
    "kill_agent": (),
    "link": ("for", "fault"),
}
#: What may be done to a link, in a lab.
LINK_FAULTS = ("cut", "slow", "lossy", "delayed")
_EXAMPLE = "such as {jitter: {every: 60s, for: 5s}}"
_DEFAULTS: dict[str, Any] = {"every": "60s", "for": "5s", "use": "50%", "fault": "cut"}


def _nemesis(value: Any) -> NemesisSpec:
    name, said = (value, {}) if isinstance(value, str) else _single(value)
    if name not in FAULTS:
        raise wrong(f"unknown nemesis {name!r}", nearest(name, FAULTS))
    known = ("every", *FAULTS[name])
    for key in said:
        if key not in known:
            raise wrong(f"{name}: unknown setting {key!r}", f"it takes {', '.join(known)}")
    given = {key: said.get(key, _DEFAULTS[key]) for key in known}
    if given.get("fault", "cut") not in LINK_FAULTS:
        raise wrong(f"{name}: unknown fault {given['fault']!r}", f"there are {', '.join(LINK_FAULTS)}")
    try:
        every = units.duration(given["every"])
        lasts = units.duration(given["for"]) if "for" in given else 0.0
        use = units.percentage(given["use"]) if "use" in given else 0.0
    except units.UnitError as e:
        raise wrong(f"{name}: {e}", e.hint) from e
    if every < 1 or ("for" in given and lasts < 1):
        raise wrong(f"{name}: every and for are at least 1s")
    return NemesisSpec(name, every, lasts, use, given.get("fault", ""))


def _single(value: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(value, dict) or len(value) != 1:
        raise wrong(f"expected one fault with its settings, got {units.kind(value)}", _EXAMPLE)
    ((name, said),) = value.items()
    if said is not None and not isinstance(said, dict):
        raise wrong(f"{name}: expected its settings, got {units.kind(said)}", _EXAMPLE)
    return name, said or {}


def _written(spec: NemesisSpec) -> dict[str, Any]:
    said: dict[str, Any] = {
        "every": f"{spec.every_s:g}s",
        "for": f"{spec.for_s:g}s",
        "use": f"{spec.use * 100:g}%",
        "fault": spec.fault,
    }
    return {spec.name: {key: said[key] for key in ("every", *FAULTS[spec.name])}}


Nemesis = Annotated[
    NemesisSpec,
    PlainValidator(_nemesis),
    PlainSerializer(_written),
    WithJsonSchema(
        {"anyOf": [{"type": "object", "minProperties": 1, "maxProperties": 1}, {"enum": list(FAULTS)}]}
    ),
]
