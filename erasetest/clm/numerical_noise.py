"""Numerical noise of a CLM's logits: two tokens whose logits differ by less are tied."""

from __future__ import annotations

import torch

from erasetest.clm.batching import pad_right
from erasetest.clm.model import Clm

_LENGTHS = (48, 7, 33, 64, 21)
"""Lengths of the rows that are read in a batch and alone; different, so that there is padding."""

_SAFETY = 2.0
"""Factor on the largest difference that was observed, since other batches may differ by more."""

_MIN_EPSILONS = 8
"""Minimum noise, in units of the dtype's machine epsilon at the largest logit."""


@torch.no_grad()
def logit_noise(clm: Clm) -> float:
    """Return the noise of the logits, measured once per CLM.

    It is twice the largest difference between the logits of a row alone and in a batch: kernels
    sum in another order for other shapes, so the last bits differ. The minimum is eight machine
    epsilons at the largest logit: for logits of 10 that is 1e-5 in float32, and 0.6 in bfloat16.
    """
    if clm.noise is None:
        vocabulary = clm.vocabulary
        longest = min(clm.window, clm.longrope_boundary or clm.window)
        lengths = [min(length, longest) for length in _LENGTHS]
        rows = [
            [(31 * i * (n + 1) + 5) % vocabulary for i in range(w)] for n, w in enumerate(lengths)
        ]
        together = clm.model(
            input_ids=pad_right(rows, clm.start_token, clm.device), use_cache=False
        ).logits.float()
        largest = epsilon = 0.0
        for row, in_batch in zip(rows, together, strict=True):
            alone = (
                clm.model(input_ids=torch.tensor([row], device=clm.device), use_cache=False)
                .logits[0]
                .float()
            )
            largest = max(largest, float((alone - in_batch[: len(row)]).abs().max()))
            epsilon = max(epsilon, float(alone.abs().max()) * torch.finfo(clm.dtype).eps)
        clm.noise = max(_SAFETY * largest, _MIN_EPSILONS * epsilon)
    return clm.noise
