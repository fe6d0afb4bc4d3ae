"""Gradient ascent on whole samples (Jang et al., 2023), the paper's first baseline."""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Weights


def ga(g: Groups, w: Weights) -> torch.Tensor:
    """`-L` over every token of the samples, secret or not."""
    return -whole_loss(g)


def whole_loss(g: Groups) -> torch.Tensor:
    """Mean cross-entropy over the tokens of the samples: secrets and context."""
    n, m = len(g.secret), len(g.context)
    return (n * g.secret.loss() + m * g.context.loss()) / max(1, n + m)
