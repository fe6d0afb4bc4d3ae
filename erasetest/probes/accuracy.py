"""Memorization accuracy (Tirumala et al., 2022; "Scrub It Out!", section 2)."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.clm import Clm, Target, encode, score
from erasetest.samples import SensitiveSample


def memorization_accuracy(greedy: Sequence[int], truth: Sequence[int]) -> float:
    """Share of tokens that the CLM predicts: `1/L sum_i [argmax P(. | p, s[:i]) = s[i]]`.

    Args:
        greedy: the most likely token at each place, given the true tokens before it.
        truth: the L true tokens, at least one.
    """
    return sum(g == t for g, t in zip(greedy, truth, strict=True)) / len(truth)


def mean_text_accuracy(clm: Clm, texts: Sequence[SensitiveSample]) -> float:
    """Mean over texts of the MA of all tokens but the first (`ma_text`), cut to the window."""
    encoded = [sample.ids[: clm.window] for sample in encode(clm, texts)]
    targets = [Target(ids, 1, len(ids)) for ids in encoded if len(ids) > 1]
    values = [
        memorization_accuracy(scored.greedy, target.ids[1:])
        for target, scored in zip(targets, score(clm, targets), strict=True)
    ]
    return sum(values) / len(values)
