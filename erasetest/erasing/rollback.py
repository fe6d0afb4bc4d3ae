"""A snapshot of the last weights with a finite loss, to roll back to."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_SAVE_EVERY = 10
"""Steps between two snapshots."""

_MAX_ROLLBACKS = 3
"""Number of rollbacks after which training is given up."""


class WeightSnapshot:
    """A copy of trained parameters in main memory."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Snapshot these parameters; it is empty until `save`."""
        self.parameters = parameters
        self.weights: list[torch.Tensor] = []
        self.restored = 0
        """Number of rollbacks so far."""

    def maybe_save(self, step: int) -> None:
        """Save every tenth step; call it where the loss is finite. Steps are counted from 1."""
        if step % _SAVE_EVERY == 1:
            self.save()

    def save(self) -> None:
        """Save the current weights."""
        self.weights = self.copy_weights()

    def clear(self) -> None:
        """Free the snapshot's memory."""
        self.weights = []

    def copy_weights(self) -> list[torch.Tensor]:
        """Return a copy of the current weights in main memory."""
        return [p.detach().to("cpu", copy=True) for p in self.parameters]

    @torch.no_grad()
    def restore(self) -> bool:
        """Roll back to the snapshot; return False if there is none, or after too many rollbacks."""
        if not self.weights or self.restored == _MAX_ROLLBACKS:
            return False
        for parameter, saved in zip(self.parameters, self.weights, strict=True):
            parameter.copy_(saved)
            parameter.grad = None
        self.restored += 1
        return True
