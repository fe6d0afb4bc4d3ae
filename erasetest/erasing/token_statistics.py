"""What objectives are made of, from the logits of the CLM as it is and as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

_AT_A_TIME = {"cpu": 1 << 20}
"""Logits that are looked at together: few enough for a CPU's cache, many for a GPU."""

_MANY = 1 << 26


class TokenStatistics(NamedTuple):
    """Of n tokens; all tensors (n,)."""

    log_probs: torch.Tensor
    """log p of the true tokens, in nats."""
    divergences: torch.Tensor
    """`KL(original || current)` over the vocabulary, in nats."""
    original: torch.Tensor
    """log q of the true tokens, by the CLM as it was."""
    predicted: torch.Tensor
    """Whether the true token is the most likely one."""
    known: torch.Tensor
    """The same of the CLM as it was."""


def compare(
    current: torch.Tensor, original: torch.Tensor | None, truth: torch.Tensor
) -> TokenStatistics:
    """Compare logits (n, vocabulary) in float32 with those of before, at the true tokens (n,).

    Overwrites both. Gradients flow to `current` alone, and once. Without an original, the CLM as it
    was is the CLM as it is.
    """
    return TokenStatistics(*_TokenStatisticsFunction.apply(current, original, truth))


class _TokenStatisticsFunction(torch.autograd.Function):
    """In the memory of the two matrices: as operators of their own, twice as many are kept.

    With p and q the distributions of now and before,

        d log p(t) / d logits = onehot(t) - p        d KL(q || p) / d logits = p - q
    """

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, original: torch.Tensor | None, truth: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        numbers = current.new_zeros(3, len(truth))
        hits = torch.zeros(2, len(truth), dtype=torch.bool, device=truth.device)
        for rows in _rows(current):
            true = truth[rows].unsqueeze(-1)
            for i, logits in enumerate((current, original)):
                if logits is None:
                    continue
                part = logits[rows]
                hits[i, rows] = part.argmax(-1) == truth[rows]
                part -= part.logsumexp(-1, keepdim=True)
                numbers[i, rows] = part.gather(-1, true).squeeze(-1)
            now = current[rows]
            if original is not None:
                then = original[rows]
                further = then - now
                numbers[2, rows] = further.mul_(then.exp_()).sum(-1)
            now.exp_()
        if original is None:
            numbers[1], hits[1] = numbers[0], hits[0]
        ctx.save_for_backward(current, original, truth)
        log_probs, before, divergences = numbers.unbind()
        predicted, known = hits.unbind()
        found = (log_probs.clone(), divergences.clone(), before.clone(), predicted, known)
        ctx.mark_non_differentiable(*found[2:])
        return found

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, for_log_probs: torch.Tensor, for_divergences: torch.Tensor, *_: Any
    ) -> tuple[torch.Tensor, None, None]:
        p, q, truth = ctx.saved_tensors
        for rows in _rows(p):
            log_prob = for_log_probs[rows].unsqueeze(-1)
            divergence = for_divergences[rows].unsqueeze(-1)
            if q is None:
                gradient = p[rows].mul_(-log_prob)
            else:
                gradient = p[rows].mul_(divergence - log_prob)
                gradient -= q[rows].mul_(divergence)
            gradient.scatter_add_(-1, truth[rows].unsqueeze(-1), log_prob)
        return p, None, None


def _rows(logits: torch.Tensor) -> Iterator[slice]:
    n, vocabulary = logits.shape
    size = max(1, _AT_A_TIME.get(logits.device.type, _MANY) // vocabulary)
    for start in range(0, n, size):
        yield slice(start, start + size)
