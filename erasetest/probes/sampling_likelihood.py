"""Sampling extraction: how probable a secret is, and how many samples extract it.

(n, p)-discoverable extraction (Hayes et al., 2024, arXiv 2410.19482): a secret of probability `p`
appears among n samples with probability `1 - (1 - p)^n`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def log2_probability(log_probs: Sequence[float]) -> float:
    """`log2 P(s | p) = sum_i ln P(s[i] | p, s[:i]) / ln 2`, in bits; -inf where it cannot be drawn.

    Args:
        log_probs: natural log-probabilities of the L tokens under the sampler.
    """
    return math.fsum(log_probs) / math.log(2)


def queries_for_half(log2_p: float) -> float:
    """Samples after which the secret has appeared with probability 0.5: `ln 0.5 / log1p(-p)`.

    In log space: for small p it is `ln 2 / p`, which stays right where `1 - p` rounds to 1. A real
    number: 0 for p = 1, infinite for p = 0 and where it passes the largest float.
    """
    log_p = log2_p * math.log(2)
    if log_p >= 0:
        return 0.0
    if log_p < -30:
        # Here log1p(-p) is -p to the last bit.
        exponent = math.log(math.log(2)) - log_p
        return math.exp(exponent) if exponent < 709 else math.inf
    if log_p < -math.log(2):
        return math.log(0.5) / math.log1p(-math.exp(log_p))
    return math.log(0.5) / math.log(-math.expm1(log_p))
