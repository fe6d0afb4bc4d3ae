"""The original CLM's distribution on fixed tokens, without keeping a second model.

Its last hidden states on those tokens are computed once, before the first step, and kept with a
frozen copy of the output head; the divergence from them is exact.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from erasetest.clm.batching import batches, pad_right
from erasetest.clm.load import Clm
from erasetest.clm.score import hidden_states
from erasetest.erase.rows import Row
from erasetest.errors import ErasureError


class Reference:
    """Log-probabilities of the original CLM at places of known rows."""

    def __init__(self, clm: Clm) -> None:
        """Freeze the output head of the CLM as it is now.

        Raises:
            ErasureError: its logits are not a matrix applied to its hidden states.
        """
        self._clm = clm
        self._head = copy.deepcopy(clm.model.get_output_embeddings())
        self._head.requires_grad_(False)
        self._hidden: dict[Row, torch.Tensor] = {}
        probe = torch.tensor([[clm.start_token] * 2], device=clm.device)
        with torch.no_grad():
            if hidden_states(clm, probe) is None:
                raise ErasureError(
                    f"{clm.name}: a {clm.family} computes its logits by more than a matrix on its "
                    "last hidden states, which erasing needs"
                )

    @torch.no_grad()
    def remember(self, rows: Sequence[Row]) -> None:
        """Keep the hidden states of rows. Call it before the CLM changes."""
        fresh = list({row: None for row in rows if row not in self._hidden})
        for batch in batches(self._clm, [len(row.ids) for row in fresh]):
            chosen = [fresh[i] for i in batch]
            ids = pad_right([row.ids for row in chosen], self._clm.start_token, self._clm.device)
            hidden = hidden_states(self._clm, ids)
            assert hidden is not None
            for row, states in zip(chosen, hidden, strict=True):
                self._hidden[row] = states[: len(row.ids)].cpu()

    @torch.no_grad()
    def log_probs(self, rows: Sequence[Row], places: Sequence[torch.Tensor]) -> torch.Tensor:
        """Log-probabilities (places, vocabulary) for the token after each place of each row."""
        states = torch.cat([self._hidden[r][p] for r, p in zip(rows, places, strict=True)])
        log_probs: torch.Tensor = self._head(states.to(self._clm.device)).float().log_softmax(-1)
        return log_probs
