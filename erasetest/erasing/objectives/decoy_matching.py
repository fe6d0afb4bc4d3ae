"""Decoy matching, the default method: make each secret as likely as other strings of its format.

A decoy is a random string of the secret's format, in its place, drawn anew in each step. This
objective is not from a paper.
"""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Tokens, Weights


def decoys(g: Groups, w: Weights) -> torch.Tensor:
    """Compute the loss of decoy matching.

        -L_known + mu |L_secret - L_decoy| + delta L_decoys + eta (KL_context + KL_retained)

    - `L_known`: ascent on those secret tokens that are still the argmax, of secrets more likely
      than their decoy (or without one).
    - `|L_secret - L_decoy|`: mean over secrets. Ascent makes a secret, and with it the whole
      format, less likely than control secrets; this term pulls a secret to the level of its decoy
      from either side. The decoy's loss has no gradient here.
    - `L_decoys`: descent on decoys, which keeps the format likely.
    - `KL`: keeps context and retained code as in the original CLM.
    """
    known = g.secret.where(g.secret.predicted & more_likely_mask(g.secret, g.decoys))
    return (
        -known.loss()
        + w.match * decoy_distance(g.secret, g.decoys)
        + w.decoys * g.decoys.loss()
        + w.hold * (g.context.divergence() + g.retained.divergence())
    )


def more_likely_mask(secret: Tokens, decoys: Tokens) -> torch.Tensor:
    """Return a mask (n,) of the tokens of secrets more likely than their decoy, or without one."""
    mask = torch.ones_like(secret.predicted)
    for number, is_more_likely in secret.more_likely_than(decoys).items():
        if not is_more_likely:
            assert secret.secret_ids is not None
            mask &= secret.secret_ids != number
    return mask


def decoy_distance(secret: Tokens, decoys: Tokens) -> torch.Tensor:
    """Return the mean of `|L_secret - L_decoy|` over secrets with a decoy, in nats per token."""
    own, others = secret.losses(), decoys.losses()
    both = [number for number in own if number in others]
    if not both:
        return secret.log_probs.new_zeros(())
    return torch.stack([(own[n] - others[n].detach()).abs() for n in both]).mean()
