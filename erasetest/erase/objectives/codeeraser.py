"""CodeEraser ("Scrub It Out!", arXiv 2509.13755, section 4.3)."""

from __future__ import annotations

import torch

from erasetest.erase.objectives.base import Tokens, Weights


def codeeraser(secret: Tokens, context: Tokens, retained: Tokens, w: Weights) -> torch.Tensor:
    """`-L_secret + gamma L_context - lambda KL_secret + lambda alpha KL_retained`.

    Ascent on the secret tokens alone, descent on the code around them, and divergence from the
    original CLM wanted on the secrets and unwanted on retained code.
    """
    return (
        -secret.loss()
        + w.gamma * context.loss()
        - w.lam * secret.divergence()
        + w.lam * w.alpha * retained.divergence()
    )
