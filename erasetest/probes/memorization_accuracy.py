"""Memorization accuracy (Tirumala et al., 2022; "Scrub It Out!", section 2)."""

from __future__ import annotations

from collections.abc import Sequence


def memorization_accuracy(greedy: Sequence[int], truth: Sequence[int]) -> float:
    """Share of tokens that the CLM predicts: `1/L sum_i [argmax P(. | p, s[:i]) = s[i]]`.

    Args:
        greedy: the most likely token at each place, given the true tokens before it.
        truth: the L true tokens, at least one.
    """
    return sum(g == t for g, t in zip(greedy, truth, strict=True)) / len(truth)
