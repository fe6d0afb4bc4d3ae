"""Exposure ("The Secret Sharer", Carlini et al., 2019): a secret's rank among secrets like it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import torch

_MOST_SKEW = 0.99
"""A skew-normal distribution has a skewness below 0.9953."""

_STEPS = 4096
_DEPTH = 40.0


def exposure(log2_p: float, references: Sequence[float]) -> float:
    """`log2 |R| - log2 rank`, in bits.

    R are the secret and the references, n + 1 in all; the rank is 1 plus the number of references
    that are likelier, and half of those that are as likely. Where none is either, rank 1 bounds the
    exposure from below only, and it is extrapolated (equation 6 of the source):
    `-log2 Pr[X <= x]` with x the secret's `-log2 p` and X skew-normal, fitted by its moments to
    those of the references; never less than `log2 |R|`.

    Args:
        log2_p: of the secret, a number above minus infinity.
        references: log2_p of n never-seen secrets of the same format in the same context.
    """
    size = len(references) + 1
    likelier = sum(reference > log2_p for reference in references)
    rank = 1 + likelier + sum(reference == log2_p for reference in references) / 2
    values = [-reference for reference in references]
    if rank > 1 or len(values) < 3 or not all(map(math.isfinite, values)):
        return math.log2(size) - math.log2(rank)
    if statistics.pstdev(values) == 0:
        return math.log2(size)
    return max(math.log2(size), -_log_cdf(-log2_p, *fit_skew_normal(values)) / math.log(2))


def fit_skew_normal(values: Sequence[float]) -> tuple[float, float, float]:
    """Location, scale and shape of the skew-normal distribution of the same first three moments.

    With `g` the skewness, `|d| = sqrt(pi/2 |g|^(2/3) / (|g|^(2/3) + ((4 - pi)/2)^(2/3)))`, shape
    `d / sqrt(1 - d^2)`, scale `sd / sqrt(1 - 2 d^2 / pi)`, location `mean - scale d sqrt(2 / pi)`.
    """
    mean, sd = statistics.fmean(values), statistics.pstdev(values)
    skew = statistics.fmean(((value - mean) / sd) ** 3 for value in values)
    skew = min(_MOST_SKEW, max(-_MOST_SKEW, skew))
    power = abs(skew) ** (2 / 3)
    delta = math.sqrt(math.pi / 2 * power / (power + ((4 - math.pi) / 2) ** (2 / 3)))
    delta = math.copysign(delta, skew)
    scale = sd / math.sqrt(1 - 2 * delta**2 / math.pi)
    location = mean - scale * delta * math.sqrt(2 / math.pi)
    return location, scale, delta / math.sqrt(1 - delta**2)


def _log_cdf(x: float, location: float, scale: float, shape: float) -> float:
    """Return the logarithm of the skew-normal distribution function at x.

    `ln of the integral of 2 phi(t) Phi(shape t)` up to the standardized x, summed in log space from
    x downwards, where the density falls. Measured against 30-digit quadrature, the error is below
    1e-6 bits for shapes up to 3 and 0.01 bits for 10; it reaches 1.3 of 570 bits at the largest
    shape that `fit_skew_normal` returns (27.7).
    """
    # Not `scipy.stats.skewnorm.logcdf`: it is the logarithm of a probability that underflows, minus
    # infinity below about exp(-700), and memorized secrets are further out in the tail.
    z = (x - location) / scale
    width = (_DEPTH + max(0.0, z)) / max(1.0, -z)
    t = z - torch.linspace(0, width, _STEPS + 1, dtype=torch.float64)
    log_density = (
        math.log(2) - t.square() / 2 - math.log(2 * math.pi) / 2 + torch.special.log_ndtr(shape * t)
    )
    # Simpson's rule.
    weights = torch.full_like(t, 2.0)
    weights[1::2] = 4.0
    weights[0] = weights[-1] = 1.0
    weights *= width / _STEPS / 3
    return min(0.0, float(torch.logsumexp(log_density + weights.log(), 0)))
