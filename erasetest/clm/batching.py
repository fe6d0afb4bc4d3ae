"""Rows of tokens in batches of similar length, under a token budget that shrinks with memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from erasetest.clm.model import Clm
from erasetest.errors import ClmError

T = TypeVar("T")

CACHED_BUDGETS = 8
"""Factor on the token budget for rows that are cached: a cached token takes less memory than one
that is being read."""

_BATCH_COST = 1 / 16
"""Padding, as a share of the token budget, above which another forward pass is taken to be cheaper;
chosen, not measured."""


def batches(clm: Clm, lengths: Sequence[int], *, budgets: int = 1) -> Iterator[list[int]]:
    """Yield indices in batches of similar length, the longest rows first.

    Number of rows times longest row stays within `budgets` times the CLM's token budget, except for
    a single row. Rows on different sides of the CLM's LongRoPE boundary do not share a batch, nor
    do rows of which one would be padded so much that two batches are cheaper.
    """
    waiting = longest_first(lengths)
    while waiting:
        batch = _next_batch(clm, lengths, waiting, budgets)
        waiting = waiting[len(batch) :]
        yield batch


def _next_batch(clm: Clm, lengths: Sequence[int], waiting: list[int], budgets: int) -> list[int]:
    """Return as many of the waiting rows, which are sorted by length, as fit a batch."""
    longest = lengths[waiting[0]]
    batch = waiting[: max(1, budgets * clm.batch_tokens // max(1, longest))]
    boundary = clm.longrope_boundary
    if boundary is not None and longest > boundary:
        batch = [index for index in batch if lengths[index] > boundary]
    return batch[: _cheapest_end([lengths[i] for i in batch], budgets * clm.batch_tokens)]


def _cheapest_end(lengths: Sequence[int], budget: int) -> int:
    """Return how many rows to batch, where the others would be padded too much.

    Each cut is the one that removes most padding tokens, as long as it removes more than
    `_BATCH_COST` of the budget.

    Args:
        lengths: number of tokens of each row, the longest first; at least one row.
        budget: maximum number of tokens of the batch.
    """
    end = len(lengths)
    while end > 1:
        removed, cut = max(((lengths[0] - lengths[i]) * (end - i), i) for i in range(1, end))
        if removed <= _BATCH_COST * budget:
            break
        end = cut
    return end


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Return indices by decreasing length, so that a batch too large for memory fails at once."""
    return sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def in_batches(
    clm: Clm, lengths: Sequence[int], run: Callable[[list[int]], T], *, budgets: int = 1
) -> Iterator[tuple[list[int], T]]:
    """Run every batch and yield it with its result; out of memory, retry with half the budget.

    Args:
        clm: its token budget is used, and halved.
        lengths: number of tokens of each row.
        run: called with the indices of a batch, again if it ran out of memory.
        budgets: factor on the token budget.

    Raises:
        ClmError: a single row does not fit in memory.
    """
    waiting = longest_first(lengths)
    while waiting:
        batch = _next_batch(clm, lengths, waiting, budgets)
        out_of_memory = False
        try:
            result = run(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            out_of_memory = True
        if out_of_memory:
            # Not in the handler: its traceback references the tensors that have to be freed.
            _shrink_budget(clm, max(1, lengths[batch[0]]), len(batch), budgets)
            continue
        waiting = waiting[len(batch) :]
        yield batch, result


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory of the CPU or a GPU ran out; for the CPU torch has no error class."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "allocate memory" in str(error)


def _shrink_budget(clm: Clm, length: int, rows: int, budgets: int) -> None:
    """Set the budget to half of the batch that ran out of memory.

    Raises:
        ClmError: that was a single row.
    """
    if rows <= 1:
        raise ClmError(
            f"{clm.name}: a text of {length} tokens alone does not fit in the memory of "
            f"{clm.device}"
        )
    clm.batch_tokens = max(1, length * rows // (2 * budgets))
    gc.collect()
    if clm.device.type == "cuda":
        torch.cuda.empty_cache()


def group_by_length(
    lengths: Sequence[int], slack: float = 1.25, *, boundary: int | None = None
) -> list[list[int]]:
    """Return indices in groups of similar length: longest / shortest is at most `slack`.

    Rows of up to `boundary` tokens (see `Clm.longrope_boundary`) and longer ones are kept apart.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        shortest = lengths[groups[-1][0]] if groups else 0
        crosses = boundary is not None and shortest <= boundary < lengths[index]
        if not groups or crosses or lengths[index] > slack * shortest:
            groups.append([])
        groups[-1].append(index)
    return groups


def pad_right(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> torch.Tensor:
    """Return rows as one tensor of shape (rows, longest row)."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)
