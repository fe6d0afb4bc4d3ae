"""Reading the rows of a step, and stepping, where the memory of a device is short."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from erasetest.clm.batching import is_out_of_memory
from erasetest.clm.load import Clm
from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.forward import StepOutput, read_step
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import ErasureError

T = TypeVar("T")


class StepRunner:
    """Reads the rows of a step: all at once, or in parts where that does not fit."""

    def __init__(
        self, clm: Clm, reference: ReferenceModel, trained: TrainableModel, limit: int | None = None
    ) -> None:
        """At most `limit` tokens at a time, padding included; None: all."""
        self.clm, self.reference, self.trained, self.limit = clm, reference, trained, limit

    def read(
        self,
        forget: Sequence[TokenizedExample] = (),
        retain: Sequence[TokenizedExample] = (),
        decoys: Sequence[TokenizedExample] = (),
    ) -> StepOutput:
        """The tokens of these rows, with gradients."""
        return read_step(self.clm, self.reference, self.trained, forget, retain, decoys, self.limit)

    def until_it_fits(self, step: Callable[[], T], rows: Sequence[TokenizedExample]) -> T:
        """What a step that reads these rows gives, from less at a time where memory ends.

        Gradients of an attempt that failed are gone.

        Raises:
            ErasureError: a row alone is too much.
        """
        while True:
            try:
                return step()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, which holds the frames and what they hold.
            self._read_less(rows)

    def _read_less(self, rows: Sequence[TokenizedExample]) -> None:
        for parameter in self.trained.parameters:
            parameter.grad = None
        longest = max(len(row.ids) for row in rows)
        limit = min(self.limit or 1 << 60, sum(len(row.ids) for row in rows))
        if limit <= longest:
            raise ErasureError(
                f"{self.clm.name}: a text of {longest} tokens alone does not fit in the memory of "
                f"{self.clm.device}: erase with gradient checkpointing, or with an adapter"
            )
        gc.collect()
        if self.clm.device.type == "cuda":
            torch.cuda.empty_cache()
        self.limit = max(longest, limit // 2)


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
