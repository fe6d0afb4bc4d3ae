"""CodeEraser ("Scrub It Out!", arXiv 2509.13755, section 4.3)."""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Weights


def codeeraser(g: Groups, w: Weights) -> torch.Tensor:
    """`-L_secret + gamma L_context - lambda KL_secret + lambda alpha KL_retained`.

    Ascent on the secret tokens alone, descent on the code around them, and divergence from the
    original CLM wanted on the secrets and unwanted on retained code.
    """
    return (
        codeeraser_no_kl(g, w)
        - w.lam * g.secret.divergence()
        + w.lam * w.alpha * g.retained.divergence()
    )


def codeeraser_no_kl(g: Groups, w: Weights) -> torch.Tensor:
    """`-L_secret + gamma L_context`: what is left of it without its divergences."""
    return -g.secret.loss() + w.gamma * g.context.loss()
