"""How far a CLM's logits move with the batch: two tokens closer than that are a tie."""

from __future__ import annotations

import torch

from erasetest.clm.batching import pad_right
from erasetest.clm.model import Clm

_LENGTHS = (48, 7, 33, 64, 21)
_SAFETY = 2.0


@torch.no_grad()
def logit_noise(clm: Clm) -> float:
    """Twice the largest difference between a row's logits alone and in a batch; seen once a CLM.

    Kernels add up in another order for other shapes, so the last bits differ. Never below eight of
    the dtype's steps at the largest logit: for logits of 10 that is 1e-5 in float32, and 0.6 in
    bfloat16.
    """
    if clm.noise is None:
        vocabulary = clm.model.config.get_text_config(decoder=True).vocab_size
        longest = min(clm.window, clm.longrope_boundary or clm.window)
        lengths = [min(length, longest) for length in _LENGTHS]
        rows = [
            [(31 * i * (n + 1) + 5) % vocabulary for i in range(w)] for n, w in enumerate(lengths)
        ]
        together = clm.model(
            input_ids=pad_right(rows, clm.start_token, clm.device), use_cache=False
        ).logits.float()
        largest = step = 0.0
        for row, in_batch in zip(rows, together, strict=True):
            alone = (
                clm.model(input_ids=torch.tensor([row], device=clm.device), use_cache=False)
                .logits[0]
                .float()
            )
            largest = max(largest, float((alone - in_batch[: len(row)]).abs().max()))
            step = max(step, float(alone.abs().max()) * torch.finfo(clm.dtype).eps)
        clm.noise = max(_SAFETY * largest, 8 * step)
    return clm.noise
