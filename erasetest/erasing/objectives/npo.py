"""Negative preference optimization (Zhang et al., 2024), on secrets alone."""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Tokens, Weights


def npo(g: Groups, w: Weights) -> torch.Tensor:
    """`-2/beta mean log sigmoid(-beta r) + gamma L_context + lambda alpha KL_retained`.

    `r = log p(s) - log p_original(s)` of each secret's tokens together: the ascent of a secret
    fades as it becomes less likely than it was.
    """
    return (
        negative_preference(g.secret, w.beta)
        + w.gamma * g.context.loss()
        + w.lam * w.alpha * g.retained.divergence()
    )


def negative_preference(secret: Tokens, beta: float) -> torch.Tensor:
    """`-2/beta mean log sigmoid(-beta r)` over the secrets; 0 for none."""
    if not len(secret):
        return secret.log_probs.sum()
    assert secret.secret_ids is not None
    _, owner = secret.secret_ids.unique(return_inverse=True)
    gained = secret.log_probs - secret.original
    ratios = gained.new_zeros(int(owner.max()) + 1).index_add(0, owner, gained)
    return -2 / beta * torch.nn.functional.logsigmoid(-beta * ratios).mean()
