"""Quantiles of Student's t distribution, in the absence of scipy."""

from __future__ import annotations

import math


def quantile(probability: float, degrees: int) -> float:
    """The t with P(T <= t) = probability, to about ten digits.

    Args:
        probability: in (0, 1).
        degrees: degrees of freedom, at least 1.

    Raises:
        ValueError: one of them is out of range.
    """
    if not 0 < probability < 1 or degrees < 1:
        raise ValueError(
            f"expected a probability in (0, 1) and degrees >= 1, got {probability}, {degrees}"
        )
    if probability < 0.5:
        return -quantile(1 - probability, degrees)
    high = 1.0
    while cdf(high, degrees) < probability:
        high *= 2
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        if cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def cdf(t: float, degrees: int) -> float:
    """P(T <= t) = 1 - I_x(v/2, 1/2) / 2 with x = v / (v + t^2), for t >= 0; by symmetry below."""
    tail = _incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2
    return 1 - tail if t >= 0 else tail


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), by its continued fraction on the side where that converges fast."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _beta_fraction(x, a, b) / a
    return 1 - math.exp(log_front) * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) by Lentz's method (DLMF 8.17.22)."""
    c = 1.0
    d = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
