"""Gradient ascent on whole samples (Jang et al., 2023), the paper's first baseline."""

from __future__ import annotations

import torch

from erasetest.erase.objectives.base import Tokens, Weights


def ga(secret: Tokens, context: Tokens, retained: Tokens, w: Weights) -> torch.Tensor:
    """`-L` over every token of the samples, secret or not."""
    return -whole_loss(secret, context)


def whole_loss(secret: Tokens, context: Tokens) -> torch.Tensor:
    """Mean cross-entropy over the tokens of both groups."""
    n, m = len(secret.truth), len(context.truth)
    return (n * secret.loss() + m * context.loss()) / max(1, n + m)
