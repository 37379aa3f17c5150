"""The bench of self-tuning: every phase under every variant, and what it says of the loop's decisions."""

from __future__ import annotations

import pytest
from harness_calls import Harness, Said

pytestmark = pytest.mark.native
PHASES = ["hot", "scattered", "far", "near", "small", "steal", "service", "compute"]
KNOBS = {"cache", "group", "simd", "prefetch", "victim", "bundle", "quantum", "node"}


def tuned(harness: Harness, *more: str, variant: str = "release", seconds: float = 0.6) -> Said:
    window = ("--threads", "2", "--seconds", str(seconds), "--warmup", "0", "--interval", "0")
    return harness("run", "tuned_mix", *window, *more, variant=variant)


def tuned_until_all_had_their_turn(harness: Harness, *more: str) -> Said:
    """On a busy machine a window may be too short for the three."""
    said = tuned(harness, *more)
    for seconds in (2, 8, 32):
        if "tuned_over_fixed" in said.metrics:
            break
        said = tuned(harness, *more, seconds=seconds)
    return said


@pytest.mark.parametrize("variant", ["release", "asan", "tsan"])
def test_the_mix_goes_through_its_phases_without_a_violation(harness: Harness, variant: str) -> None:
    said = tuned(
        harness, "--set", "phase_ms=1", "--set", "turn_percent=1", "--set", "ids=4096", variant=variant
    )
    assert (said.status, said.errors) == (0, "")
    assert said.result["violations"] == 0
    assert said.result["ops"] > 0


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_alone_has_a_figure_for_each_way_of_choosing_settings(harness: Harness, phase: str) -> None:
    said = tuned_until_all_had_their_turn(
        harness, "--set", f"phase={phase}", "--set", "turn_percent=1", "--set", "ids=4096"
    )
    assert (said.status, said.errors) == (0, "")
    for way in ("original", "fixed", "tuned"):
        assert said.metrics[f"{way}_{phase}_ns"] > 0
    assert {c["name"] for c in said.of("counter")} >= KNOBS


def test_the_decisions_are_told_with_their_evidence(harness: Harness) -> None:
    said = tuned_until_all_had_their_turn(
        harness, "--set", "phase=hot", "--set", "turn_percent=1", "--set", "ids=4096"
    )
    decisions = said.of("decision")
    assert decisions[0]["knob"] == "node"
    surveys = [d for d in decisions if d["knob"] == "cache" and d["action"] == "survey"]
    assert surveys[0]["reason"] == "start"
    assert all(d["samples"] > 0 and d["cost_from"] > 0 for d in decisions if d["action"] == "move")
    times = [d["own_t"] for d in decisions]
    assert times == sorted(times)
