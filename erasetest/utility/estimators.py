"""pass@k: the probability that at least one of k completions solves a problem."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

KS = (1, 5, 10)
"""The k that are reported, up to the number of samples."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of pass@k from n samples of one problem, of which c passed.

    It is the fraction of subsets of k samples with at least one that passed (Chen et al. 2021,
    "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1):

        pass@k = 1 - C(n-c, k) / C(n, k)
               = 1 if n - c < k, else 1 - prod over i in n-c+1..n of (1 - k/i)

    Raises:
        ValueError: not 0 <= c <= n, or not 1 <= k <= n.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"expected 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def mean_pass_at_k(passed: Sequence[int], n: int, ks: Iterable[int] = KS) -> dict[str, float]:
    """Return the mean of pass@k over problems, `{"pass@1": …}`, without each k above n.

    Args:
        passed: number of samples that passed, per problem.
        n: samples per problem.
        ks: the k to return.

    Raises:
        ValueError: there is no problem, or a count is not in 0..n.
    """
    if not passed:
        raise ValueError("pass@k needs at least one problem")
    return {
        f"pass@{k}": math.fsum(pass_at_k(n, c, k) for c in passed) / len(passed)
        for k in ks
        if k <= n
    }
