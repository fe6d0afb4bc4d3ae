"""The last weights at which the loss was a number, to come back to."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_EVERY = 10
"""Steps after which they are kept."""

_MOST = 3


class WeightSnapshot:
    """A copy of trained parameters in main memory."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Of these; nothing is kept yet."""
        self.parameters = parameters
        self.weights: list[torch.Tensor] = []
        self.restored = 0
        """How often they came back."""

    def maybe_save(self, step: int) -> None:
        """Keep the weights, at which the loss was a number, if it is time; steps count from 1."""
        if step % _EVERY == 1:
            self.keep()

    def keep(self) -> None:
        """Keep the weights as they are."""
        self.weights = self.copied()

    def forget(self) -> None:
        """Free the memory."""
        self.weights = []

    def copied(self) -> list[torch.Tensor]:
        """The weights as they are, in main memory."""
        return [p.detach().to("cpu", copy=True) for p in self.parameters]

    @torch.no_grad()
    def restore(self) -> bool:
        """Go back; False where there is nothing to go back to, or that was done too often."""
        if not self.weights or self.restored == _MOST:
            return False
        for parameter, kept in zip(self.parameters, self.weights, strict=True):
            parameter.copy_(kept)
            parameter.grad = None
        self.restored += 1
        return True
