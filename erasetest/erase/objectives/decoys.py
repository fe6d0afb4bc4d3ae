"""Ours: forget what is still known, and make it as likely as anything else of its format."""

from __future__ import annotations

import torch

from erasetest.erase.objectives.base import Groups, Tokens, Weights


def decoys(g: Groups, w: Weights) -> torch.Tensor:
    """`-L_known + mu D + delta L_decoys + eta (KL_context + KL_retained)`.

    `D` is the mean of `|log p(secret) - log p(decoy)| / n` over secrets of n tokens.

    Ascent on the secret tokens alone that the CLM still predicts, of secrets that are likelier than
    their decoys; descent on those decoys, fresh random strings of the same format in their places.
    Ascent makes a secret, and with it the whole format, less likely than never-seen ones; the
    second term, with the decoy's probability held fixed, leads it to where its decoys are, from
    either side: that of the whole, as ranks are by it, though it may have fewer tokens than they.
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
            assert secret.owners is not None
            mask &= secret.owners != number
    return mask


def distance(secret: Tokens, decoys: Tokens) -> torch.Tensor:
    """Mean over secrets that have a decoy of `|log p(secret) - log p(decoy)|`, a secret's token."""
    own, others = secret.nats(), decoys.nats()
    both = [number for number in own if number in others]
    if not both or secret.owners is None:
        return secret.log_probs.new_zeros(())
    far = [(own[n] - others[n].detach()).abs() / (secret.owners == n).sum() for n in both]
    return torch.stack(far).mean()
