"""The original CLM's distribution on fixed tokens, without keeping a second model.

Its last hidden states on those tokens are kept, with a frozen output head; the divergence from them
is exact. The states are computed once, before the first step; with the adapter off, where one is
trained.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import torch

from erasetest.clm.batching import in_batches, pad_right
from erasetest.clm.load import Clm
from erasetest.clm.teacher_forcing import hidden_states
from erasetest.erasing.examples import TokenizedExample
from erasetest.errors import ErasureError

Context = Callable[[], contextlib.AbstractContextManager[object]]


class ReferenceModel:
    """Last hidden states of the original CLM at places of known rows, and its output head."""

    def __init__(
        self,
        clm: Clm,
        head: torch.nn.Module,
        computing: Context = contextlib.nullcontext,
    ) -> None:
        """Of the CLM as it is now.

        Args:
            clm: read whenever rows are remembered.
            head: its output head, which nothing may change from now on.
            computing: the context that rows are read in, as in training.

        Raises:
            ErasureError: its logits are not a matrix applied to its hidden states.
        """
        self._clm, self._head, self._computing = clm, head, computing
        self._hidden: dict[TokenizedExample, torch.Tensor] = {}
        probe = torch.tensor([[clm.start_token] * 2], device=clm.device)
        with torch.no_grad():
            if hidden_states(clm, probe) is None:
                raise ErasureError(
                    f"{clm.name}: a {clm.family} computes its logits by more than a matrix on its "
                    "last hidden states, which erasing needs"
                )

    @torch.no_grad()
    def remember(self, rows: Sequence[TokenizedExample]) -> None:
        """Keep the hidden states of rows. Call it while the CLM is the original one."""
        fresh = list({row: None for row in rows if row not in self._hidden})

        def read(batch: list[int]) -> torch.Tensor:
            ids = pad_right([fresh[i].ids for i in batch], self._clm.start_token, self._clm.device)
            with self._computing():
                hidden = hidden_states(self._clm, ids)
            assert hidden is not None
            return hidden

        for batch, hidden in in_batches(self._clm, [len(row.ids) for row in fresh], read):
            for i, states in zip(batch, hidden, strict=True):
                # A copy: a view would keep the whole batch, padding included.
                self._hidden[fresh[i]] = states[: len(fresh[i].ids)].to("cpu", copy=True)

    def states(
        self, rows: Sequence[TokenizedExample], places: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Hidden states (places, width) at the places of each row, on the CLM's device."""
        parts = [self._hidden[r][p] for r, p in zip(rows, places, strict=True)]
        if not parts:
            return torch.empty(0, self._clm.width, device=self._clm.device)
        return torch.cat(parts).to(self._clm.device)

    @torch.no_grad()
    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (n, vocabulary) in float32 of hidden states (n, width)."""
        with self._computing():
            logits: torch.Tensor = self._head(states)
        return logits.float()
