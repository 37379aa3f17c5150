"""How the Ray cluster of a run is made: what a playbook and the top of an inventory say of it, the playbook's word being the stronger."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import PlainValidator, WithJsonSchema, model_validator

from orchestrator.model import fields
from orchestrator.model.fields import Strict, wrong
from orchestrator.model.plan import ClusterPlan
from orchestrator.model.units import kind

#: Ray's own processes need seven, its workers the others: a seat, and a piece of work on each CPU.
FEWEST_PORTS = 32
#: Ray refuses less.
SMALLEST_STORE = 75 * 2**20
_PORTS = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)


def _ports(value: Any) -> str:
    found = _PORTS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong(f"expected a range of ports, got {kind(value)}", "such as 20000-20199")
    first, last = map(int, found.groups())
    if not 1024 <= first <= last <= 65535:
        raise wrong(f"{value}: not a range within 1024-65535", "such as 20000-20199")
    if last - first + 1 < FEWEST_PORTS:
        raise wrong(
            f"{value}: {last - first + 1} port(s)",
            f"at least {FEWEST_PORTS}: for Ray itself, each seat and each piece of work",
        )
    return str(value)


Ports = Annotated[
    str,
    PlainValidator(_ports),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,5}-[0-9]{1,5}$", "examples": ["20000-20199"]}),
]


class ClusterSpec(Strict):
    """None: as `ClusterPlan` has it."""

    tls: bool | None = None
    health: Literal["short", "long"] | None = None
    ports: Ports | None = None
    object_store: fields.Size | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.object_store is not None and self.object_store < SMALLEST_STORE:
            raise wrong("object_store: smaller than Ray allows", "75MiB or more")
        return self


def cluster_plan(*said: ClusterSpec | None) -> ClusterPlan:
    """``said``: the weakest first."""
    settings: dict[str, Any] = {}
    for spec in said:
        if spec is not None:
            # not `model_dump`, which writes values as people do
            settings |= {k: v for k, v in dict(spec).items() if v is not None}
    if "ports" in settings:
        settings["ports"] = [int(n) for n in settings["ports"].split("-")]
    if "object_store" in settings:
        settings["object_store_bytes"] = settings.pop("object_store")
    return ClusterPlan(**settings)
