from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.bootstrap import median, ratio, until_width
from orchestrator.analysis.exposure import upper_bound
from orchestrator.analysis.parameters import ParametersError, fraction
from orchestrator.model.interval import half_width

VALUES = st.lists(st.floats(1.0, 1e9), min_size=3, max_size=12)


@given(VALUES, st.integers(0, 2**63))
def test_the_interval_lies_within_the_values_and_repeats(values: list[float], seed: int) -> None:
    found = median(values, seed, "x")
    assert found == median(values, seed, "x")
    assert found.low is not None
    assert found.high is not None
    assert min(values) <= found.low <= found.middle <= found.high <= max(values)


@given(VALUES, st.floats(0.5, 2.0))
def test_the_ratio_of_an_arm_to_a_multiple_of_itself_has_that_multiple_in_its_interval(
    values: list[float], factor: float
) -> None:
    found = ratio([v * factor for v in values], values, 7, "x")
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= factor * (1 + 1e-9)
    assert found.high >= factor * (1 - 1e-9)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1e9, 1e9), max_size=12), st.integers(0, 2**63 - 1))
def test_the_width_that_judges_a_step_is_the_one_that_ended_it(values: list[float], seed: int) -> None:
    assert until_width(values, seed) == half_width(values, seed)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_launches_have_no_interval(count: int) -> None:
    found = median([1.0] * count, 7)
    assert (found.low, found.high, found.half_width, found.launches) == (None, None, None, count)


def test_a_ratio_to_zero_is_none() -> None:
    assert ratio([1.0], [0.0], 7) is None


def test_equal_arms_are_seldom_told_apart() -> None:
    """The claim behind 99%: of 200 pairs from one distribution few intervals may exclude 1."""
    random = np.random.default_rng(1)
    excluded = 0
    for n in range(200):
        a, b = (list(random.normal(100, 2, 10)) for _ in range(2))
        found = ratio(a, b, n, "pair")
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        excluded += not found.low <= 1 <= found.high
    assert excluded <= 8


def test_the_bound_after_clean_trials_is_minus_log_of_the_rest_over_n() -> None:
    assert upper_bound(1000, 0.95) == pytest.approx(0.0029957, rel=1e-4)
    assert upper_bound(0, 0.95) == math.inf


@pytest.mark.parametrize(("given_", "value"), [("99%", 0.99), (0.5, 0.5), ("0.25", 0.25)])
def test_a_percentage_is_a_fraction(given_: object, value: float) -> None:
    assert fraction(given_) == pytest.approx(value)


@pytest.mark.parametrize("given_", ["100%", "0%", "much", None, 3, True, [1]])
def test_what_is_no_percentage_between_0_and_100_is_refused(given_: object) -> None:
    with pytest.raises(ParametersError):
        fraction(given_)
