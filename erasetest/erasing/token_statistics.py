"""Per-token statistics of logits, from which the objectives are computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

LOGITS_AT_A_TIME = {"cpu": 1 << 20}
"""Number of logits processed together, by device type: 4 MiB of float32 fit a CPU's cache."""

_LOGITS_AT_A_TIME_ELSEWHERE = 1 << 26
"""The same for other devices: enough to keep a GPU busy."""


class TokenStatistics(NamedTuple):
    """Statistics of n tokens; all tensors (n,)."""

    log_probs: torch.Tensor
    """log p of the true tokens under the current CLM, in nats."""
    divergences: torch.Tensor
    """`KL(original || current)` over the vocabulary, in nats."""
    original: torch.Tensor
    """log q of the true tokens under the original CLM, in nats."""
    predicted: torch.Tensor
    """Whether the true token is the argmax of the current CLM."""
    known: torch.Tensor
    """Whether the true token is the argmax of the original CLM."""


def compute_token_statistics(
    current: torch.Tensor, original: torch.Tensor | None, truth: torch.Tensor
) -> TokenStatistics:
    """Compute the statistics of tokens from logits of the current and the original CLM.

    Gradients flow to `current` alone, and once.

    Args:
        current: float32 logits (n, vocabulary) of the current CLM; overwritten.
        original: the same of the original CLM; overwritten. None takes the current CLM for it.
        truth: ids of the true tokens (n,).
    """
    return TokenStatistics(*_TokenStatisticsFunction.apply(current, original, truth))


class _TokenStatisticsFunction(torch.autograd.Function):
    """Compute in the memory of the two matrices: separate operators would keep twice as much.

    With p and q the distributions of the current and the original CLM,

        d log p(t) / d logits = onehot(t) - p        d KL(q || p) / d logits = p - q
    """

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, original: torch.Tensor | None, truth: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        values = current.new_zeros(3, len(truth))
        hits = torch.zeros(2, len(truth), dtype=torch.bool, device=truth.device)
        for rows in _slices(current):
            true = truth[rows].unsqueeze(-1)
            for i, logits in enumerate((current, original)):
                if logits is None:
                    continue
                part = logits[rows]
                hits[i, rows] = part.argmax(-1) == truth[rows]
                # In place: from here on the matrix holds log probabilities.
                part -= part.logsumexp(-1, keepdim=True)
                values[i, rows] = part.gather(-1, true).squeeze(-1)
            log_p = current[rows]
            if original is not None:
                log_q = original[rows]
                difference = log_q - log_p
                values[2, rows] = difference.mul_(log_q.exp_()).sum(-1)
            log_p.exp_()
        if original is None:
            values[1], hits[1] = values[0], hits[0]
        # What is saved are probabilities, as backward needs them.
        ctx.save_for_backward(current, original, truth)
        log_probs, original_log_probs, divergences = values.unbind()
        predicted, known = hits.unbind()
        outputs = (
            log_probs.clone(),
            divergences.clone(),
            original_log_probs.clone(),
            predicted,
            known,
        )
        ctx.mark_non_differentiable(*outputs[2:])
        return outputs

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_log_probs: torch.Tensor, grad_divergences: torch.Tensor, *_: Any
    ) -> tuple[torch.Tensor, None, None]:
        p, q, truth = ctx.saved_tensors
        for rows in _slices(p):
            grad_log_prob = grad_log_probs[rows].unsqueeze(-1)
            grad_divergence = grad_divergences[rows].unsqueeze(-1)
            if q is None:
                gradient = p[rows].mul_(-grad_log_prob)
            else:
                gradient = p[rows].mul_(grad_divergence - grad_log_prob)
                gradient -= q[rows].mul_(grad_divergence)
            gradient.scatter_add_(-1, truth[rows].unsqueeze(-1), grad_log_prob)
        return p, None, None


def _slices(logits: torch.Tensor) -> Iterator[slice]:
    n, vocabulary = logits.shape
    limit = LOGITS_AT_A_TIME.get(logits.device.type, _LOGITS_AT_A_TIME_ELSEWHERE)
    size = max(1, limit // vocabulary)
    for start in range(0, n, size):
        yield slice(start, start + size)
