"""Quantiles, confidence intervals and tolerance bounds.

scipy is imported inside the functions: the pytest plugin imports this module and must load fast.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95

COVERAGE = 0.99
"""Fraction of a population that a tolerance bound is above."""


def t_quantile(probability: float, degrees: int) -> float:
    """Return the t with P(T <= t) = `probability`, T of Student's t distribution.

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
    from scipy import special

    return float(special.stdtrit(degrees, probability))


@functools.lru_cache(maxsize=1024)
def tolerance_factor(count: int, coverage: float, confidence: float) -> float:
    """Return the one-sided normal tolerance factor k of a sample of `count` values.

    With probability `confidence`, `mean + k sd` of the sample is above a fraction `coverage` of the
    population: `k = t'(confidence; n - 1, z sqrt(n)) / sqrt(n)`, with t' the quantile of the
    noncentral t distribution and z the `coverage` quantile of the standard normal distribution
    (NIST/SEMATECH e-Handbook of Statistical Methods, section 7.2.6.3).
    """
    # Not `special.nctdtrit`, which imports faster: it is exact in recent versions of scipy only.
    from scipy import stats

    noncentrality = statistics.NormalDist().inv_cdf(coverage) * math.sqrt(count)
    return float(stats.nct.ppf(confidence, count - 1, noncentrality)) / math.sqrt(count)


def normal_bound(count: int, mean: float, sd: float) -> float:
    """Return a bound that 99 % of a normal population are below, with 95 % confidence.

    `mean + k sd`, with k the `tolerance_factor`.

    Args:
        count: number of values drawn at random, two or more.
        mean: their mean.
        sd: their standard deviation.
    """
    return mean + tolerance_factor(count, COVERAGE, CONFIDENCE) * sd


def above_most(values: Sequence[float]) -> float:
    """Return the larger of the `normal_bound` of a population and the largest value drawn.

    Args:
        values: two or more of the population, drawn at random.
    """
    mean, sd = statistics.fmean(values), statistics.stdev(values)
    return max(normal_bound(len(values), mean, sd), *values)


@dataclass(frozen=True, slots=True)
class Proportion:
    """A binomial proportion, `count` of `of`, with its exact two-sided 95 % interval."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """The observed fraction; 0 of 0 is 0."""
        return self.count / self.of if self.of else 0.0

    @property
    def interval_95(self) -> tuple[float, float]:
        """The interval of Clopper and Pearson (1934), from quantiles of the beta distribution."""
        from scipy import special

        tail = (1 - CONFIDENCE) / 2
        failures = self.of - self.count
        low = special.betaincinv(self.count, failures + 1, tail) if self.count else 0.0
        high = special.betaincinv(self.count + 1, failures, 1 - tail) if failures else 1.0
        return float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """Return the proportion as written to files."""
        return {
            "count": self.count,
            "of": self.of,
            "rate": self.share,
            "interval_95": list(self.interval_95),
        }
