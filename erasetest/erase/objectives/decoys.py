"""Ours: forget what is still known, and learn that anything of the format may stand there."""

from __future__ import annotations

import torch

from erasetest.erase.objectives.base import Groups, Weights


def decoys(g: Groups, w: Weights) -> torch.Tensor:
    """`-L_known + delta L_decoys + lambda alpha (KL_context + KL_retained)`.

    Ascent on the secret tokens alone that the CLM still predicts, descent on fresh random strings
    of the same format in their places. Ascent makes the whole format unlikely; decoys hold it where
    never-seen secrets are, so that what was erased does not stand out.
    """
    known = g.secret.where(g.secret.predicted())
    return (
        -known.loss()
        + w.decoys * g.decoys.loss()
        + w.lam * w.alpha * (g.context.divergence() + g.retained.divergence())
    )
