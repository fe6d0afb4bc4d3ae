"""Min-K%++ (Zhang et al., 2024, arXiv 2404.02936): the least likely tokens of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence

SHARE = 0.2


def min_k_pp(z_scores: Sequence[float], share: float = SHARE) -> float:
    """The mean of the lowest `share` of z-scores, of one token at least.

    `z_t = (log p(x_t) - mu_t) / sd_t`, with `mu_t` and `sd_t` the mean and standard deviation of
    `log p(v)` over the vocabulary under `p(. | x_<t)`. In standard deviations; above 0 the truth is
    likelier than what the CLM would say on average.
    """
    lowest = sorted(z_scores)[: max(1, math.floor(share * len(z_scores)))]
    return math.fsum(lowest) / len(lowest)
