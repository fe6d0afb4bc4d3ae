"""Formulas of measures against independent implementations of their definitions."""

from __future__ import annotations

import math
import random
import statistics

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from erasetest.probes.exposure import _log_cdf, exposure, fit_skew_normal
from erasetest.probes.min_k_plus_plus import min_k_pp
from erasetest.probes.sampling_likelihood import log2_probability, queries_for_half


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=30))
def test_log2_p_is_the_product_of_probabilities(log_probs: list[float]) -> None:
    """In bits."""
    product = math.prod(math.exp(value) for value in log_probs)
    assume(product > 1e-300)
    assert log2_probability(log_probs) == pytest.approx(math.log2(product), abs=1e-9)


@given(st.floats(-60, -1e-6))
def test_after_that_many_samples_it_has_appeared_with_probability_a_half(log2_p: float) -> None:
    """By the definition: `1 - (1 - p)^n = 0.5`."""
    n = queries_for_half(log2_p)
    missed = n * math.log1p(-(2.0**log2_p))
    assert math.exp(missed) == pytest.approx(0.5, rel=1e-5)


def test_samples_at_the_ends() -> None:
    """0 for p = 1, infinite for p = 0 or beyond the largest float; continuous between."""
    assert queries_for_half(0.0) == 0.0
    assert queries_for_half(-math.inf) == math.inf
    assert queries_for_half(-2000.0) == math.inf
    assert queries_for_half(-1000.0) == pytest.approx(math.log(2) * 2.0**1000)
    edge = -30 / math.log(2)
    assert queries_for_half(edge + 1e-9) == pytest.approx(queries_for_half(edge - 1e-9), rel=1e-7)
    values = [queries_for_half(-bits) for bits in range(1, 200)]
    assert values == sorted(values)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40))
def test_min_k_is_the_mean_of_the_lowest_fifth(scores: list[float]) -> None:
    """Of at least one: for less than five tokens the lowest alone."""
    count = len(scores) // 5 or 1
    lowest, rest = [], list(scores)
    for _ in range(count):
        lowest.append(min(rest))
        rest.remove(min(rest))
    assert min_k_pp(scores) == pytest.approx(sum(lowest) / count)


@given(st.lists(st.integers(-40, 0), min_size=1, max_size=60, unique=True), st.data())
def test_exposure_is_by_rank(values: list[int], data: st.DataObject) -> None:
    """If a decoy is more likely: `log2 |R| - log2 rank`, with the rank from sorting."""
    references = [float(value) for value in values]
    secret = data.draw(st.sampled_from([value - 0.5 for value in references]))
    rank = sorted([*references, secret], reverse=True).index(secret) + 1
    assume(rank > 1)
    wanted = math.log2(len(references) + 1) - math.log2(rank)
    assert exposure(secret, references) == pytest.approx(wanted)


def test_exposure_past_the_references_is_extrapolated() -> None:
    """For normally distributed decoys it is that of the normal distribution; it never decreases."""
    rng = random.Random(3)
    references = [rng.gauss(-100, 10) for _ in range(4000)]
    bits = [exposure(-100 + 10 * z, references) for z in (4, 5, 6, 8, 9.9)]
    assert bits == sorted(bits)
    normal = statistics.NormalDist()
    assert exposure(-100 + 10 * 6, references) == pytest.approx(-math.log2(normal.cdf(-6)), rel=0.1)
    assert exposure(0.0, references) > bits[-1] >= math.log2(4001)


def test_exposure_where_nothing_can_be_fitted() -> None:
    """With two decoys, equal ones, or one that is never drawn, only the rank counts."""
    assert exposure(-1.0, [-5.0, -6.0]) == pytest.approx(math.log2(3))
    assert exposure(-1.0, [-5.0] * 7) == pytest.approx(3.0)
    assert exposure(-9.0, [-5.0, -6.0, -7.0]) == pytest.approx(0.0)
    assert exposure(-1.0, [-5.0, -6.0, -math.inf]) == pytest.approx(2.0)


def test_ties_are_no_exposure() -> None:
    """A secret as likely as all decoys has the middle rank."""
    assert exposure(-5.0, [-5.0] * 7) == pytest.approx(3.0 - math.log2(4.5))
    assert exposure(-5.0, [-5.0, -6.0, -7.0]) == pytest.approx(2.0 - math.log2(1.5))


@settings(max_examples=40, deadline=None)
@given(st.floats(-5, 5), st.floats(0.5, 20), st.floats(-6, 6), st.floats(-4, 4))
def test_the_skew_normal_distribution(
    location: float, scale: float, shape: float, z: float
) -> None:
    """Equal to the integral of its density, by the trapezoidal rule."""
    t = torch.linspace(-12, z, 40_001, dtype=torch.float64)
    density = (
        2 * torch.exp(-t.square() / 2) / math.sqrt(2 * math.pi) * torch.special.ndtr(shape * t)
    )
    wanted = float(torch.trapezoid(density, t))
    assume(wanted > 1e-9)
    found = math.exp(_log_cdf(location + scale * z, location, scale, shape))
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(-100, 100), st.floats(0.1, 50), st.floats(-8, 8))
def test_a_fit_has_the_moments_of_what_it_fits(location: float, scale: float, shape: float) -> None:
    """Samples of a skew-normal distribution, made from two normal ones, give its moments."""
    rng = random.Random(1)
    delta = shape / math.sqrt(1 + shape**2)
    values = [
        location
        + scale * (delta * abs(rng.gauss(0, 1)) + math.sqrt(1 - delta**2) * rng.gauss(0, 1))
        for _ in range(2000)
    ]
    mean, sd = statistics.fmean(values), statistics.pstdev(values)
    skew = statistics.fmean(((value - mean) / sd) ** 3 for value in values)
    found_location, found_scale, found_shape = fit_skew_normal(values)
    d = found_shape / math.sqrt(1 + found_shape**2)
    rest = math.sqrt(1 - 2 * d**2 / math.pi)
    wanted = (4 - math.pi) / 2 * (d * math.sqrt(2 / math.pi) / rest) ** 3
    assert wanted == pytest.approx(max(-0.99, min(0.99, skew)), abs=1e-6)
    assert found_location + found_scale * d * math.sqrt(2 / math.pi) == pytest.approx(mean)
    assert found_scale * math.sqrt(1 - 2 * d**2 / math.pi) == pytest.approx(sd)
