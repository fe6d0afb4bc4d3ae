"""Quantiles, intervals and tolerance factors, against tables and definitions."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.support.statistics import Proportion, t_quantile, tolerance_factor


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [
        (0.95, 1, 6.313752),
        (0.95, 2, 2.919986),
        (0.95, 5, 2.015048),
        (0.95, 10, 1.812461),
        (0.95, 30, 1.697261),
        (0.95, 120, 1.657651),
        (0.95, 1_000_000, 1.644855),
        (0.975, 4, 2.776445),
        (0.995, 20, 2.845340),
        (0.05, 10, -1.812461),
        (0.5, 3, 0.0),
    ],
)
def test_t_quantiles_equal_published_tables(
    probability: float, degrees: int, expected: float
) -> None:
    """Both tails, the median, and from one degree of freedom to nearly normal."""
    assert t_quantile(probability, degrees) == pytest.approx(expected, abs=1e-6)


@given(st.floats(0.001, 0.999))
def test_t_of_one_degree_is_the_cauchy_distribution(probability: float) -> None:
    """Its quantiles have a closed form."""
    expected = math.tan(math.pi * (probability - 0.5))
    assert t_quantile(probability, 1) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 3), (1.0, 3), (0.5, 0)])
def test_t_quantile_refuses_arguments_out_of_range(probability: float, degrees: int) -> None:
    """Probabilities 0 and 1, and no degrees of freedom."""
    with pytest.raises(ValueError, match="degrees >= 1"):
        t_quantile(probability, degrees)


@pytest.mark.parametrize(
    ("count", "factor"),
    [
        (3, 10.553), (4, 7.042), (5, 5.741), (10, 3.981), (16, 3.464), (20, 3.295), (30, 3.064),
        (50, 2.862), (100, 2.684),
    ],
)  # fmt: skip
def test_tolerance_factors_equal_published_tables(count: int, factor: float) -> None:
    """One-sided, 99 % of the population with 95 % confidence."""
    assert tolerance_factor(count, 0.99, 0.95) == pytest.approx(factor, abs=1.5e-3)


def test_the_tolerance_factor_of_a_large_sample_is_the_normal_quantile() -> None:
    """It comes down to 2.326, at which 99 % of a known normal distribution lie below."""
    factors = [tolerance_factor(count, 0.99, 0.95) for count in (100, 10_000, 1_000_000)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(2.326348, abs=5e-3)
    assert factors[-1] > 2.326348


def _at_most(k: int, n: int, p: float) -> float:
    """Probability of k or fewer successes, summed from the definition."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@settings(deadline=None)
@given(st.integers(1, 120), st.data())
def test_the_interval_is_clopper_and_pearsons(n: int, data: st.DataObject) -> None:
    """At each end, the observed count or a more extreme one has a probability of 2.5 %."""
    k = data.draw(st.integers(0, n))
    low, high = Proportion(k, n).interval_95
    assert 0 <= low <= k / n <= high <= 1
    if k:
        assert 1 - _at_most(k - 1, n, low) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == 0
    if k < n:
        assert _at_most(k, n, high) == pytest.approx(0.025, rel=1e-6)
    else:
        assert high == 1


def test_intervals_equal_published_tables() -> None:
    """Also of thousands, and of nothing, where every proportion is possible."""
    assert Proportion(0, 100).interval_95 == pytest.approx((0, 0.036217), abs=1e-6)
    assert Proportion(1, 10).interval_95 == pytest.approx((0.002529, 0.445016), abs=1e-6)
    assert Proportion(50, 5000).interval_95 == pytest.approx((0.00743, 0.01316), abs=1e-4)
    assert Proportion(0, 0).interval_95 == (0, 1)
    assert Proportion(0, 0).share == 0
    assert Proportion(3, 4).as_dict()["rate"] == 0.75


def test_scipy_is_imported_on_first_use() -> None:
    """Neither this module nor the plugin, which imports it, loads scipy."""
    code = (
        "import sys, erasetest.support.statistics, pytest_erasetest.plugin, erasetest.samples\n"
        "sys.exit(any(name in sys.modules for name in ('scipy', 'numpy', 'torch', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
