"""Forward passes and optimizer steps where a device's memory is short."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from erasetest.clm.batching import is_out_of_memory
from erasetest.clm.model import Clm
from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.forward import StepOutput, forward_step
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import ErasureError

T = TypeVar("T")


class StepRunner:
    """Computes the forward pass of a step, in parts if it does not fit in memory."""

    def __init__(
        self,
        clm: Clm,
        reference: ReferenceModel,
        trainable: TrainableModel,
        max_tokens: int | None = None,
    ) -> None:
        """Compute forward passes of at most `max_tokens` tokens, padding included; None: any."""
        self.clm, self.reference, self.trainable = clm, reference, trainable
        self.max_tokens = max_tokens

    def forward(
        self,
        forget: Sequence[TokenizedExample] = (),
        retained: Sequence[TokenizedExample] = (),
        decoys: Sequence[TokenizedExample] = (),
    ) -> StepOutput:
        """Compute the forward pass of a step, with gradients."""
        return forward_step(
            self.clm, self.reference, self.trainable, forget, retained, decoys, self.max_tokens
        )

    def retry_out_of_memory(self, step: Callable[[], T], examples: Sequence[TokenizedExample]) -> T:
        """Run a step on these examples; when out of memory, halve `max_tokens` and run it again.

        Gradients of a failed attempt are discarded.

        Raises:
            ErasureError: a single example does not fit.
        """
        while True:
            try:
                return step()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the exception's traceback keeps the step's tensors alive.
            self._halve_max_tokens(examples)

    def _halve_max_tokens(self, examples: Sequence[TokenizedExample]) -> None:
        self.trainable.zero_grad()
        longest = max(len(example.ids) for example in examples)
        limit = min(self.max_tokens or 1 << 60, sum(len(example.ids) for example in examples))
        if limit <= longest:
            raise ErasureError(
                f"{self.clm.name}: a text of {longest} tokens alone does not fit in the memory of "
                f"{self.clm.device}: erase with gradient checkpointing, or with an adapter"
            )
        gc.collect()
        if self.clm.device.type == "cuda":
            torch.cuda.empty_cache()
        self.max_tokens = max(longest, limit // 2)


def optimizer_step(clm: Clm, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Update the trained parameters by their gradients.

    Raises:
        ErasureError: the optimizers' state does not fit in memory. Smaller forward passes would not
            help, and some parameters may be updated already.
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
