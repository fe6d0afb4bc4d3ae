"""Min-K%++ (Zhang et al., 2024, arXiv 2404.02936): the least likely tokens of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence

SHARE = 0.2
"""Share of the tokens that is averaged over, as in the source."""


def min_k_pp(z_scores: Sequence[float], share: float = SHARE) -> float:
    """Return the mean of the lowest `share` of the z-scores, of at least one.

    `z_t = (log p(x_t | x_<t) - mu_t) / sd_t`, with `mu_t` and `sd_t` the mean and standard
    deviation of `log p(v | x_<t)` over the vocabulary, v distributed as `p(. | x_<t)`. Above 0 the
    true tokens are more likely than tokens that the CLM samples are on average.
    """
    lowest = sorted(z_scores)[: max(1, math.floor(share * len(z_scores)))]
    return math.fsum(lowest) / len(lowest)
