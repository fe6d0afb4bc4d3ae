"""Constrained unlearning, the paper's second baseline: ascent held by two divergences."""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Weights
from erasetest.erasing.objectives.gradient_ascent import whole_loss


def cu(g: Groups, w: Weights) -> torch.Tensor:
    """`-L - lambda KL_sample + lambda alpha KL_retained`, `L` and `KL` over whole samples."""
    n, m = len(g.secret), len(g.context)
    divergence = (n * g.secret.divergence() + m * g.context.divergence()) / max(1, n + m)
    return -whole_loss(g) - w.lam * divergence + w.lam * w.alpha * g.retained.divergence()
