"""Gradient ascent on whole samples (Jang et al., 2023, arXiv 2210.01504).

The first baseline of "Scrub It Out!" (arXiv 2509.13755).
"""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Weights


def ga(g: Groups, w: Weights) -> torch.Tensor:
    """Compute `-L_sample`, over all tokens of the samples, secret or not."""
    return -sample_loss(g)


def sample_loss(g: Groups) -> torch.Tensor:
    """Return the mean cross-entropy over secrets and context, in nats per token."""
    n, m = len(g.secret), len(g.context)
    return (n * g.secret.loss() + m * g.context.loss()) / max(1, n + m)
