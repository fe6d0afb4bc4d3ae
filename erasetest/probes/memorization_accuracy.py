"""Memorization accuracy (Tirumala et al., 2022, arXiv 2205.10770)."""

from __future__ import annotations

from collections.abc import Sequence


def memorization_accuracy(greedy: Sequence[int], truth: Sequence[int]) -> float:
    """Return `MA = 1/L sum_i [argmax P(. | p, s[:i]) = s[i]]`, the share of predicted tokens.

    Args:
        greedy: the most likely token at each place, given the true tokens before it.
        truth: the L true tokens `s`, at least one.
    """
    return sum(g == t for g, t in zip(greedy, truth, strict=True)) / len(truth)
