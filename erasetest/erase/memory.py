"""What a step of training does where the memory of a device is short."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch

from erasetest.clm.batching import is_out_of_memory
from erasetest.clm.load import Clm
from erasetest.erase.rows import Row
from erasetest.errors import ErasureError


def smaller_limit(clm: Clm, rows: Sequence[Row], limit: int | None) -> int:
    """How many tokens of a step to read at a time, where `limit` (None: all) were too many.

    Call it when nothing holds what was read any more: outside the handler of the error.

    Raises:
        ErasureError: a row alone was too much.
    """
    longest = max(len(row.ids) for row in rows)
    limit = min(limit or 1 << 60, sum(len(row.ids) for row in rows))
    if limit <= longest:
        raise ErasureError(
            f"{clm.name}: a text of {longest} tokens alone does not fit in the memory of "
            f"{clm.device}: erase with gradient checkpointing, or with an adapter"
        )
    gc.collect()
    if clm.device.type == "cuda":
        torch.cuda.empty_cache()
    return max(longest, limit // 2)


def take_step(clm: Clm, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Change the trained parameters by their gradients.

    Raises:
        ErasureError: the optimizers' own memory does not fit. Reading less at a time would not
            help, and some parameters may be changed already.
    """
    try:
        for optimizer in optimizers:
            optimizer.step()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ErasureError(
            f"{clm.name}: weights, gradients and the optimizer's moments do not fit in the memory "
            f"of {clm.device}: erase with an adapter; nothing was saved"
        ) from None
