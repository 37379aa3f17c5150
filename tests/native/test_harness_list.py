from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bundle.digest import source_digest

pytestmark = pytest.mark.native
NATIVE = Path(__file__).parents[2] / "native"


def test_the_listing_names_protocol_build_and_variant(listing: dict[str, Any]) -> None:
    assert listing["protocol"] == 1
    assert listing["build"] == source_digest(NATIVE)
    assert listing["variant"] == "release"


def test_every_bench_is_a_file_of_its_name(listing: dict[str, Any]) -> None:
    files = sorted(p.stem.removeprefix("bench_") for p in (NATIVE / "harness").glob("bench_*.c"))
    assert [b["name"] for b in listing["benches"]] == files
    assert {"baseline_check", "capability_check", "capability_churn"} <= set(files)


def test_every_bench_says_what_it_does(listing: dict[str, Any]) -> None:
    for bench in listing["benches"]:
        assert set(bench) == {"name", "summary", "unit_of_work", "contracts", "settings"}
        assert bench["summary"]
        assert bench["unit_of_work"]


def test_only_a_bench_with_oracles_claims_to_check_contracts(listing: dict[str, Any]) -> None:
    claimed = {b["name"]: b["contracts"] for b in listing["benches"]}
    assert claimed["capability_churn"]
    assert claimed["capability_check"] == claimed["harness_floor"] == []


def test_every_setting_is_declared_whole(listing: dict[str, Any]) -> None:
    for bench in listing["benches"]:
        names = [s["name"] for s in bench["settings"]]
        assert len(set(names)) == len(names)
        for setting in bench["settings"]:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", setting["name"])
            assert setting["help"]
            assert _default_is_allowed(setting), setting


def _default_is_allowed(setting: dict[str, Any]) -> bool:
    default = setting["default"]
    if setting["type"] == "bool":
        return isinstance(default, bool)
    if setting["type"] == "choice":
        return default in setting["choices"]
    kinds: tuple[type, ...] = {"int": (int,), "float": (int, float)}[setting["type"]]
    return isinstance(default, kinds) and bool(setting["min"] <= default <= setting["max"])
