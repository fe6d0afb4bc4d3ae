"""Sampling extraction: the probability of a secret, and the number of samples that extract it.

(n, p)-discoverable extraction (Hayes et al., 2024, arXiv 2410.19482): a secret of probability `p`
occurs among n samples with probability `1 - (1 - p)^n`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_TINY_LOG_P = -30.0
"""Natural log-probability below which `log1p(-p)` equals `-p` in double precision."""

_MAX_EXPONENT = 709.0
"""Largest argument of `exp` that does not overflow, rounded down."""


def log2_probability(log_probs: Sequence[float]) -> float:
    """Return `log2 P(s | p) = sum_i ln P(s[i] | p, s[:i]) / ln 2`, in bits.

    It is -inf if the sampler never draws one of the tokens.

    Args:
        log_probs: natural log-probabilities of the L tokens `s` under the sampler.
    """
    return math.fsum(log_probs) / math.log(2)


def queries_for_half(log2_p: float) -> float:
    """Return the number n of samples with `1 - (1 - p)^n = 0.5`: `n = ln 0.5 / log1p(-p)`.

    A real number: 0 for p = 1, infinite for p = 0 or beyond the largest float. Computed from
    `ln p`, since for small p the difference `1 - p` rounds to 1; there `n = ln 2 / p`.
    """
    log_p = log2_p * math.log(2)
    if log_p >= 0:
        return 0.0
    if log_p < _TINY_LOG_P:
        exponent = math.log(math.log(2)) - log_p
        return math.exp(exponent) if exponent < _MAX_EXPONENT else math.inf
    if log_p < -math.log(2):
        return math.log(0.5) / math.log1p(-math.exp(log_p))
    # For p near 1, `expm1` keeps the digits of `1 - p` that `1 - exp(log_p)` would lose.
    return math.log(0.5) / math.log(-math.expm1(log_p))
