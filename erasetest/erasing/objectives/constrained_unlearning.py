"""Constraint-based unlearning, the second baseline of "Scrub It Out!" (arXiv 2509.13755).

The paper's objective for "constraint-based unlearning", with a forget sample x_f, retained
code x_r, the original CLM theta_0 and the current one theta:

    L_CU = -L(x_f) - lambda KL(theta_0 || theta; x_f) + lambda alpha KL(theta_0 || theta; x_r)

It is gradient ascent on whole samples, in which the divergence from the original CLM is maximized
on the forget set and minimized on retained code.
"""

from __future__ import annotations

import torch

from erasetest.erasing.objectives.base import Groups, Weights
from erasetest.erasing.objectives.gradient_ascent import sample_loss


def cu(g: Groups, w: Weights) -> torch.Tensor:
    """Compute `-L_sample - lambda KL_sample + lambda alpha KL_retained`, means per token."""
    n, m = len(g.secret), len(g.context)
    divergence = (n * g.secret.divergence() + m * g.context.divergence()) / max(1, n + m)
    return -sample_loss(g) - w.lam * divergence + w.lam * w.alpha * g.retained.divergence()
