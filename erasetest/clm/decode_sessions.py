"""Sequences that are continued token by token: from a shared KV cache, or read whole each time."""

from __future__ import annotations

from typing import Protocol

import torch

from erasetest.clm.batching import batches, pad_right
from erasetest.clm.kv_cache import KeysAndValues, after_prefixes, read_rows, roomy_cache
from erasetest.clm.model import Clm
from erasetest.clm.teacher_forcing import head, hidden_states

_LOCAL_WINDOWS = ("sliding_window", "attention_chunk_size", "window_size")
"""Attributes of model configurations that hold the window of local attention layers."""


class DecodeSession(Protocol):
    """Sequences that are being continued together."""

    def logits(self) -> torch.Tensor:
        """Return logits (sequences, vocabulary) of the next token of each, in float32."""

    def advance(self, tokens: list[int], keep: list[int]) -> None:
        """Keep the sequences at these indices and append one token to each."""


class CachedSession(DecodeSession):
    """Sequences that share the cached keys and values of the rows that their prefixes come from.

    A sequence with a prefix of n tokens attends to the first n - 1 places of its row's cache; the
    rest of the row is masked. New tokens are cached behind the whole row, with the position ids
    that they have in the text.
    """

    def __init__(
        self,
        clm: Clm,
        prefixes: list[list[int]],
        cached: KeysAndValues | None,
        rows: list[int],
        room: int,
    ) -> None:
        """Start at the last token of each prefix, whose logits are needed first.

        Args:
            clm: the CLM that read the rows.
            prefixes: at least one token each.
            cached: keys and values of the rows; None if every prefix is one token long.
            rows: for each prefix, the index of its row in `cached`.
            room: maximum number of tokens to append.
        """
        self._model = clm.model
        device = clm.device
        lengths = torch.tensor([len(prefix) for prefix in prefixes], device=device)
        self._positions = lengths - 1
        self._tokens = torch.tensor([prefix[-1] for prefix in prefixes], device=device)
        self._width = cached[0][0].shape[-2] if cached is not None else 0
        self._mask = torch.ones(len(prefixes), self._width + room, dtype=torch.long, device=device)
        self._mask[:, : self._width] = torch.arange(
            self._width, device=device
        ) < self._positions.unsqueeze(1)
        self._cache = roomy_cache(cached, torch.tensor(rows, device=device), room)

    def logits(self) -> torch.Tensor:
        """Read the last token of each sequence from the cache."""
        self._width += 1
        out = self._model(
            input_ids=self._tokens.unsqueeze(1),
            attention_mask=self._mask[:, : self._width],
            position_ids=self._positions.unsqueeze(1),
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = out.logits[:, -1].float()
        return logits

    def advance(self, tokens: list[int], keep: list[int]) -> None:
        """Reduce the cache to the kept sequences; the tokens are read by the next `logits`."""
        device = self._tokens.device
        if len(keep) < len(self._tokens):
            # A slice is a view and costs nothing; other selections copy the cache.
            is_front = keep[-1] + 1 == len(keep)
            select = slice(len(keep)) if is_front else torch.tensor(keep, device=device)
            self._cache.batch_select_indices(select)
            self._mask = self._mask[select]
            self._positions = self._positions[select]
        self._tokens = torch.tensor(tokens, device=device)
        self._positions = self._positions + 1


class PlainSession(DecodeSession):
    """Sequences that are read whole for each token: slow, and correct for any causal model."""

    def __init__(self, clm: Clm, prefixes: list[list[int]]) -> None:
        self._clm = clm
        self._sequences = prefixes

    def logits(self) -> torch.Tensor:
        """Read every sequence whole."""
        out: list[torch.Tensor | None] = [None] * len(self._sequences)
        for batch in batches(self._clm, [len(s) for s in self._sequences]):
            rows = [self._sequences[i] for i in batch]
            ids = pad_right(rows, self._clm.start_token, self._clm.device)
            hidden = hidden_states(self._clm, ids)
            states = (
                self._clm.model(input_ids=ids, use_cache=False).logits if hidden is None else hidden
            )
            last = states[range(len(rows)), [len(row) - 1 for row in rows]]
            for i, logits in zip(
                batch, last.float() if hidden is None else head(self._clm, last), strict=True
            ):
                out[i] = logits
        return torch.stack([logits for logits in out if logits is not None])

    def advance(self, tokens: list[int], keep: list[int]) -> None:
        """Append the tokens to the kept sequences."""
        self._sequences = [
            [*self._sequences[k], token] for k, token in zip(keep, tokens, strict=True)
        ]


def shares_cache(clm: Clm, shortest: int, longest: int, width: int) -> bool:
    """Return whether continuations of one row may start from its cached keys and values.

    False if
    - the model fails a trial of it: recurrent layers and custom caches (tried once per CLM),
    - LongRoPE switches frequencies between the shortest prefix and the longest end,
    - the cache is wider than the window of a local attention layer.

    Args:
        clm: the CLM that reads the row.
        shortest: length of the shortest prefix.
        longest: maximum length of a prefix with its continuation.
        width: maximum number of places in the cache, with all that the batch may append.
    """
    local_window, boundary = _local_window(clm), clm.longrope_boundary
    if local_window is not None and width > local_window:
        return False
    # The last token of a prefix is read again with the continuation, so it is not cached.
    if boundary is not None and shortest - 1 <= boundary < longest:
        return False
    if "cache" not in clm.capabilities:
        clm.capabilities["cache"] = _try_shared_cache(clm)
    return clm.capabilities["cache"]


def _local_window(clm: Clm) -> int | None:
    """Return the smallest window of local attention layers, in tokens; None without such layers.

    Such layers count places in the cache. With a shared cache the place of a new token differs from
    its position in the text, so their windows would be wrong if the cache were wider than them.
    """
    config = clm.model.config.get_text_config(decoder=True)
    sizes = [getattr(config, name, None) for name in _LOCAL_WINDOWS]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=None)


@torch.no_grad()
def _try_shared_cache(clm: Clm) -> bool:
    """Read arbitrary tokens, one and two at a time; return whether plain reading agrees."""
    vocabulary = clm.vocabulary
    ids = [(7 * i + 3) % vocabulary for i in range(12)]
    try:
        cached = read_rows(clm, torch.tensor([ids[:9]], device=clm.device))
        session = CachedSession(clm, [ids[:6], ids[:10]], cached, [0, 0], 2)
        first = session.logits()
        session.advance([ids[6], ids[10]], [0, 1])
        second = session.logits()
        together = after_prefixes(clm, cached, [0, 0], [6, 10], [ids[5:7], ids[9:11]]).logits[:, -1]
    except (AttributeError, TypeError, RuntimeError, ValueError, IndexError):
        return False
    rows = [ids[:6], ids[:10], ids[:7], ids[:11]]
    plain = PlainSession(clm, rows).logits()
    tolerance = 1e-3 if clm.dtype == torch.float32 else 0.25
    found = torch.cat([first, second, together.float()])
    return torch.allclose(found, torch.cat([plain, plain[2:]]), atol=tolerance, rtol=tolerance)
