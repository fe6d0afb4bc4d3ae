"""Constrained unlearning, the paper's second baseline: ascent held by two divergences."""

from __future__ import annotations

import torch

from erasetest.erase.objectives.base import Tokens, Weights
from erasetest.erase.objectives.ga import whole_loss


def cu(secret: Tokens, context: Tokens, retained: Tokens, w: Weights) -> torch.Tensor:
    """`-L - lambda KL_sample + lambda alpha KL_retained`, `L` and `KL` over whole samples."""
    n, m = len(secret.truth), len(context.truth)
    divergence = (n * secret.divergence() + m * context.divergence()) / max(1, n + m)
    return (
        -whole_loss(secret, context) - w.lam * divergence + w.lam * w.alpha * retained.divergence()
    )
