"""Faults that a playbook asks for, during launches or between them: which there are, how often, and for how long each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from orchestrator.model import units
from orchestrator.model.fields import wrong
from orchestrator.model.names import nearest
from orchestrator.model.plan import NemesisSpec

#: fault → the settings that it takes beside `every`
FAULTS: dict[str, tuple[str, ...]] = {
    "jitter": ("for", "when"),
    "memory": ("for", "use", "when"),
    "kill_agent": (),
    "link": ("for", "fault", "when"),
    "pinning": ("for",),
    "hotplug": ("for", "when"),
    "clock": ("for", "by", "when"),
}
#: What may be done to a link, in a lab.
LINK_FAULTS = ("cut", "slow", "lossy", "delayed")
#: While a launch runs, or as one has ended and before the next one begins.
MOMENTS = ("during", "between")
_EXAMPLE = "such as {jitter: {every: 60s, for: 5s}}"
_DEFAULTS: dict[str, Any] = {
    "every": "60s",
    "for": "5s",
    "use": "50%",
    "fault": "cut",
    "when": "during",
    "by": "1h",
}


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
    if given.get("when", "during") not in MOMENTS:
        raise wrong(f"{name}: when: {given['when']!r}", f"it is one of {', '.join(MOMENTS)}")
    try:
        every = units.duration(given["every"])
        lasts = units.duration(given["for"]) if "for" in given else 0.0
        use = units.percentage(given["use"]) if "use" in given else 0.0
        by = units.duration(given["by"]) if "by" in given else 0.0
    except units.UnitError as e:
        raise wrong(f"{name}: {e}", e.hint) from e
    if every < 1 or ("for" in given and lasts < 1) or ("by" in given and by < 1):
        raise wrong(f"{name}: every, for and by are at least 1s")
    return NemesisSpec(name, every, lasts, use, given.get("fault", ""), given.get("when", "during"), by)


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
        "when": spec.when,
        "by": f"{spec.by_s:g}s",
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
