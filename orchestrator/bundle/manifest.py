"""What a bundle is: the variants of the harness, what each needs on a host, and the benches in it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agents.wire import PROTOCOL, WireError, decode
from orchestrator.errors import BuildError

#: Variants that can be built, each a preset in native/CMakePresets.json of the same name.
VARIANTS = ("release", "noise", "poison", "asan", "tsan", "peers", "explore")


@dataclass(frozen=True)
class Setting:
    """One setting of a bench. ``min`` and ``max`` are included; None where there is no such bound."""

    name: str
    #: int | float | bool | choice
    type: str
    default: Any
    help: str
    min: float | None = None
    max: float | None = None
    choices: list[str] | None = None


@dataclass(frozen=True)
class Bench:
    """``settings`` is None where no harness could be asked (no compiler): then any may be right."""

    name: str
    summary: str = ""
    unit_of_work: str = ""
    settings: list[Setting] | None = None
    #: whose violations it would report; empty: it only measures
    contracts: list[str] = field(default_factory=list)
    #: of a scenario of the explorer: the structure that it is about
    subject: str = ""

    def setting(self, name: str) -> Setting | None:
        return next((s for s in self.settings or [] if s.name == name), None)


@dataclass(frozen=True)
class LeftOut:
    """A file of scenarios without which the explorer was built. ``subjects``: whose scenarios are in it; ``why``: in one line."""

    file: str
    subjects: list[str]
    why: str

    @property
    def told(self) -> str:
        return f"{self.file} {self.why}"


@dataclass(frozen=True)
class Variant:
    """One built harness. ``size`` in bytes."""

    name: str
    file: str
    sha256: str
    size: int
    #: as in `uname -m`, e.g. x86_64
    machine: str
    static: bool
    #: oldest glibc that it runs with, e.g. "2.34"; "" where it is static
    glibc: str
    #: of the explorer: what does not compile
    left_out: list[LeftOut] = field(default_factory=list)

    def unmet(self, machine: str, libc: str) -> str:
        """Why a host cannot run it, "" where it can. ``libc`` as in facts, e.g. "glibc 2.36"."""
        if machine != self.machine:
            return f"the bundle is for {self.machine}, the host is {machine}"
        if self.static:
            return ""
        kind, _, version = libc.partition(" ")
        if kind != "glibc":
            return f"variant {self.name} needs glibc {self.glibc} or later, the host has {libc or 'none'}"
        if _version(version) < _version(self.glibc):
            return f"variant {self.name} needs glibc {self.glibc} or later, the host has {version}"
        return ""


@dataclass(frozen=True)
class Bundle:
    """``source`` is the folder it was built from, "" for the harness that came with the installation."""

    protocol: int
    source: str
    #: id of the source tree, 16 hex digits: what the harness reports as `build`
    digest: str
    compiler: str
    variants: list[Variant]
    benches: list[Bench]

    def variant(self, name: str) -> Variant:
        """Raises KeyError."""
        for v in self.variants:
            if v.name == name:
                return v
        raise KeyError(name)

    @property
    def left_out(self) -> list[LeftOut]:
        return [left for variant in self.variants for left in variant.left_out]

    def bench(self, name: str) -> Bench | None:
        return next((b for b in self.benches if b.name == name), None)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Bundle:
        """Raises WireError."""
        try:
            return decode(Bundle, json.loads(text))
        except json.JSONDecodeError as e:
            raise WireError(f"bundle manifest: {e}") from e


@dataclass(frozen=True)
class Blob:
    """A file to be shipped, by content: it lies on the host as blobs/<sha256>."""

    #: agent | the name of a variant
    name: str
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class Listing:
    """What `orch-harness list --json` prints."""

    protocol: int
    build: str
    variant: str
    benches: list[Bench]
    compiler: str = ""


def parse_listing(where: str, text: str) -> Listing:
    """Raises BuildError where it is not the listing of a harness of our protocol, or two in it have one name."""
    try:
        listing = decode(Listing, json.loads(text))
    except (json.JSONDecodeError, WireError) as e:
        raise BuildError(where, f"does not list its benches: {e}") from e
    if listing.protocol != PROTOCOL:
        raise BuildError(where, f"speaks protocol {listing.protocol}, this orch speaks {PROTOCOL}")
    twice = [name for name, count in Counter(b.name for b in listing.benches).items() if count > 1]
    if twice:  # of which only one would ever be run
        raise BuildError(where, f"has two that are named {twice[0]}", "give one of them another name")
    return listing


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
