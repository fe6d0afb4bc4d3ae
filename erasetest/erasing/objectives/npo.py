"""Negative preference optimization (Zhang et al., 2024, arXiv 2404.05868).

Applied to the secret tokens only, with CodeEraser's terms for context and retained code.
"""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Tokens, Weights


def npo(g: Groups, w: Weights) -> torch.Tensor:
    """Compute `-2/beta mean log sigmoid(-beta r) + gamma L_context + lambda alpha KL_retained`.

    `r = log p(s) - log p_original(s)`, summed over the tokens of a secret s: the gradient fades as
    a secret becomes less likely than it was.
    """
    return (
        negative_preference(g.secret, w.beta)
        + w.gamma * g.context.loss()
        + w.lam * w.alpha * g.retained.divergence()
    )


def negative_preference(secret: Tokens, beta: float) -> torch.Tensor:
    """Return the mean of `-2/beta log sigmoid(-beta r)` over secrets; 0 without secrets."""
    if not len(secret):
        return secret.log_probs.sum()
    assert secret.secret_ids is not None
    _, owner = secret.secret_ids.unique(return_inverse=True)
    log_ratios = secret.log_probs - secret.original
    sums = log_ratios.new_zeros(int(owner.max()) + 1).index_add(0, owner, log_ratios)
    return -2 / beta * torch.nn.functional.logsigmoid(-beta * sums).mean()
