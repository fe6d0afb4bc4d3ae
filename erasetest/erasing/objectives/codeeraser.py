"""CodeEraser ("Scrub It Out!", Chu et al., 2026, arXiv 2509.13755, section 4.3)."""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Weights


def codeeraser(g: Groups, w: Weights) -> torch.Tensor:
    """Compute `-L_secret + gamma L_context - lambda KL_secret + lambda alpha KL_retained`.

    Gradient ascent on the secret tokens only, and descent on their context. The divergence from the
    original CLM is maximized on the secrets and minimized on retained code.
    """
    return (
        codeeraser_no_kl(g, w)
        - w.lam * g.secret.divergence()
        + w.lam * w.alpha * g.retained.divergence()
    )


def codeeraser_no_kl(g: Groups, w: Weights) -> torch.Tensor:
    """Compute `-L_secret + gamma L_context`: CodeEraser without its divergences."""
    return -g.secret.loss() + w.gamma * g.context.loss()
