from __future__ import annotations

import json
from typing import Any

import pytest

from agents.wire import WireError
from orchestrator.bundle.manifest import Bench, Bundle, Setting, Variant, parse_listing
from orchestrator.errors import BuildError

STATIC = Variant("release", "/h", "0" * 64, 10, "x86_64", static=True, glibc="")
DYNAMIC = Variant("tsan", "/t", "1" * 64, 20, "x86_64", static=False, glibc="2.35")
SETTING = Setting("ids", "int", 7, "h", 1, 9)
BUNDLE = Bundle(1, "/src", "ab" * 8, "cc", [STATIC, DYNAMIC], [Bench("tiny", "s", "u", [SETTING])])


def test_a_bundle_survives_its_json() -> None:
    assert Bundle.from_json(BUNDLE.to_json()) == BUNDLE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"protocol": "x"}'])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        Bundle.from_json(text)


def test_a_variant_and_a_bench_are_found_by_name() -> None:
    assert BUNDLE.variant("tsan") is DYNAMIC
    with pytest.raises(KeyError):
        BUNDLE.variant("asan")
    bench = BUNDLE.bench("tiny")
    assert bench is not None
    assert bench.setting("ids") == SETTING
    assert bench.setting("idz") is None
    assert BUNDLE.bench("huge") is None


@pytest.mark.parametrize(
    ("variant", "machine", "libc", "unmet"),
    [
        (STATIC, "x86_64", "musl 1.2.3", ""),
        (STATIC, "aarch64", "glibc 2.36", "the bundle is for x86_64, the host is aarch64"),
        (DYNAMIC, "x86_64", "glibc 2.36", ""),
        (DYNAMIC, "x86_64", "glibc 2.35", ""),
        (DYNAMIC, "x86_64", "glibc 2.4", "variant tsan needs glibc 2.35 or later, the host has 2.4"),
        (DYNAMIC, "x86_64", "musl 1.2", "variant tsan needs glibc 2.35 or later, the host has musl 1.2"),
        (DYNAMIC, "x86_64", "", "variant tsan needs glibc 2.35 or later, the host has none"),
    ],
)
def test_a_variant_says_why_a_host_cannot_run_it(
    variant: Variant, machine: str, libc: str, unmet: str
) -> None:
    assert variant.unmet(machine, libc) == unmet


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"protocol": 2}, "speaks protocol 2"),
        ({"benches": 3}, "does not list"),
        ({"build": None}, "does not list"),
        ({"benches": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "has two that are named a"),
    ],
)
def test_a_listing_that_is_not_ours_is_refused(change: dict[str, Any], says: str) -> None:
    good: dict[str, Any] = {"protocol": 1, "build": "x", "variant": "release", "benches": []}
    assert parse_listing("h", json.dumps(good)).build == "x"
    with pytest.raises(BuildError, match=says):
        parse_listing("h", json.dumps(good | change))
