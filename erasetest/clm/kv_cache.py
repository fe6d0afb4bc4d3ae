"""Cached keys and values of rows, from which many continuations start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from erasetest.clm.batching import pad_right
from erasetest.clm.model import Clm

KeysAndValues = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, both of shape (rows, heads, length, head width)."""


def read_rows(clm: Clm, ids: torch.Tensor) -> KeysAndValues:
    """Read tokens (rows, length) and return their keys and values."""
    from transformers import DynamicCache

    cache: Any = DynamicCache()
    clm.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers]


def after_prefixes(
    clm: Clm,
    cached: KeysAndValues,
    places: list[int],
    prefixes: list[int],
    tokens: Sequence[Sequence[int]],
    model: Any = None,
) -> Any:
    """Run the model, or its base, on tokens that follow prefixes of cached rows.

    Args:
        clm: the CLM that read the rows.
        cached: their keys and values.
        places: for each of n branches, the index of its row in `cached`.
        prefixes: number of tokens of its row before each branch. The last of them is the first of
            `tokens`, since its logits are needed.
        tokens: tokens of each branch; padded on the right here.
        model: `clm.model.base_model`, or None for `clm.model`.

    Returns:
        The output of the model for (n, longest branch) tokens.
    """
    device = clm.device
    given = pad_right(tokens, clm.start_token, device)
    width, length = cached[0][0].shape[-2], given.shape[1]
    begins = torch.tensor(prefixes, device=device).unsqueeze(1) - 1
    ends = begins + torch.tensor([[len(branch) - 1] for branch in tokens], device=device)
    mask = torch.ones(len(places), width + length, dtype=torch.long, device=device)
    mask[:, :width] = torch.arange(width, device=device) < begins
    return (model or clm.model)(
        input_ids=given,
        attention_mask=mask,
        # Padding gets the position of its branch's last token: there are no learned positions
        # beyond the window, and beyond the LongRoPE boundary all tokens would get others.
        position_ids=(begins + torch.arange(length, device=device)).minimum(ends),
        past_key_values=roomy_cache(cached, torch.tensor(places, device=device), length),
        use_cache=True,
    )


def roomy_cache(cached: KeysAndValues | None, select: torch.Tensor, room: int) -> Any:
    """Return a cache of the selected rows with room for that many tokens, written in place.

    The dynamic cache of transformers copies all keys and values for every token.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
            super().__init__()
            self.lazy_initialization(keys, values)
            self._width = width = keys.shape[-2]
            self._whole = tuple(
                torch.empty(
                    len(select),
                    t.shape[1],
                    width + room,
                    t.shape[3],
                    dtype=t.dtype,
                    device=t.device,
                )
                for t in (keys, values)
            )
            for whole, given in zip(self._whole, (keys, values), strict=True):
                whole[:, :, :width] = given[select]
            self._show(width)

        def _show(self, width: int) -> None:
            self._width = width
            self.keys, self.values = (whole[:, :, :width] for whole in self._whole)

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            begin, end = self._width, self._width + key_states.shape[-2]
            for whole, new in zip(self._whole, (key_states, value_states), strict=True):
                whole[:, :, begin:end] = new
            self._show(end)
            keys, values = (whole[:, :, :end] for whole in self._whole)
            return keys, values

        def batch_select_indices(self, indices: Any) -> None:
            self._whole = tuple(whole[indices] for whole in self._whole)
            self._show(self._width)

    cache = DynamicCache()
    if cached is not None:
        cache.layers = [RoomyLayer(keys, values) for keys, values in cached]
    return cache
