"""The original CLM as reference model, without keeping a second model.

The last hidden states of the original CLM on fixed examples are computed once, before the first
step, and kept with a frozen output head. The KL divergence from them is exact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import torch

from erasetest.clm.batching import in_batches, pad_right
from erasetest.clm.model import Clm
from erasetest.clm.teacher_forcing import hidden_states
from erasetest.erasing.examples import TokenizedExample
from erasetest.errors import ErasureError

Context = Callable[[], contextlib.AbstractContextManager[object]]


class ReferenceModel:
    """Cached last hidden states of the original CLM, and its output head."""

    def __init__(
        self,
        clm: Clm,
        head: torch.nn.Module,
        autocast: Context = contextlib.nullcontext,
    ) -> None:
        """Refer to the CLM as it is now.

        Args:
            clm: computes the hidden states in `cache`.
            head: its output head, which must not change from now on.
            autocast: the context of forward passes, the same as in training.

        Raises:
            ErasureError: the CLM's logits are not a matrix applied to its hidden states.
        """
        self._clm, self._head, self._autocast = clm, head, autocast
        self._hidden: dict[TokenizedExample, torch.Tensor] = {}
        probe = torch.tensor([[clm.start_token] * 2], device=clm.device)
        with torch.no_grad():
            if hidden_states(clm, probe) is None:
                raise ErasureError(
                    f"{clm.name}: a {clm.family} computes its logits by more than a matrix on its "
                    "last hidden states, which erasing needs"
                )

    @torch.no_grad()
    def cache(self, examples: Sequence[TokenizedExample]) -> None:
        """Cache the hidden states of examples. Call it while the CLM is the original one."""
        new = list({example: None for example in examples if example not in self._hidden})

        def forward(batch: list[int]) -> torch.Tensor:
            ids = pad_right([new[i].ids for i in batch], self._clm.start_token, self._clm.device)
            with self._autocast():
                hidden = hidden_states(self._clm, ids)
            assert hidden is not None
            return hidden

        for batch, hidden in in_batches(self._clm, [len(example.ids) for example in new], forward):
            for i, states in zip(batch, hidden, strict=True):
                # A copy: a view would keep the whole batch in memory, padding included.
                self._hidden[new[i]] = states[: len(new[i].ids)].to("cpu", copy=True)

    def states(
        self, examples: Sequence[TokenizedExample], positions: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return hidden states (n, width) at positions of cached examples, on the CLM's device."""
        parts = [self._hidden[e][p] for e, p in zip(examples, positions, strict=True)]
        if not parts:
            return torch.empty(0, self._clm.width, device=self._clm.device)
        return torch.cat(parts).to(self._clm.device)

    @torch.no_grad()
    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return float32 logits (n, vocabulary) of hidden states (n, width)."""
        with self._autocast():
            logits: torch.Tensor = self._head(states)
        return logits.float()
