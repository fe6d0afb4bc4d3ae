"""Ours: forget what is still known, and make it as likely as anything else of its format."""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Tokens, Weights


def decoys(g: Groups, w: Weights) -> torch.Tensor:
    """`-L_known + mu |L_secret - L_decoy| + delta L_decoys + eta (KL_context + KL_retained)`.

    Ascent on the secret tokens alone that the CLM still predicts, of secrets that are likelier than
    their decoys; descent on those decoys, fresh random strings of the same format in their places.
    Ascent makes a secret, and with it the whole format, less likely than never-seen ones; the
    second term, a mean over secrets with the decoy's loss held fixed, leads it to where its decoys
    are, from either side.
    """
    known = g.secret.where(g.secret.predicted & likelier(g.secret, g.decoys))
    return (
        -known.loss()
        + w.match * distance(g.secret, g.decoys)
        + w.decoys * g.decoys.loss()
        + w.hold * (g.context.divergence() + g.retained.divergence())
    )


def likelier(secret: Tokens, decoys: Tokens) -> torch.Tensor:
    """Mask (n,) of the tokens of secrets that are likelier than their decoys, or have none."""
    mask = torch.ones_like(secret.predicted)
    for number, is_likelier in secret.likelier(decoys).items():
        if not is_likelier:
            assert secret.secret_ids is not None
            mask &= secret.secret_ids != number
    return mask


def distance(secret: Tokens, decoys: Tokens) -> torch.Tensor:
    """Mean over the secrets that have a decoy of `|L_secret - L_decoy|`, in nats a token."""
    own, others = secret.losses(), decoys.losses()
    both = [number for number in own if number in others]
    if not both:
        return secret.log_probs.new_zeros(())
    return torch.stack([(own[n] - others[n].detach()).abs() for n in both]).mean()
