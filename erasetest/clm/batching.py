"""Rows of tokens in batches: of like length, under a token budget that shrinks with memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from erasetest.clm.load import Clm
from erasetest.errors import ClmError

T = TypeVar("T")


def batches(clm: Clm, lengths: Sequence[int], *, budgets: int = 1) -> Iterator[list[int]]:
    """Indices in batches of like length; rows x longest row stays within the CLM's token budget.

    Rows that fit the window that a CLM was first trained with, and longer ones, stay apart.
    """
    waiting = longest_first(lengths)
    while waiting:
        batch = _next_batch(clm, lengths, waiting, budgets)
        waiting = waiting[len(batch) :]
        yield batch


def _next_batch(clm: Clm, lengths: Sequence[int], waiting: list[int], budgets: int) -> list[int]:
    """As many of those that wait, the longest first, as may be read together."""
    longest = lengths[waiting[0]]
    batch = waiting[: max(1, budgets * clm.batch_tokens // max(1, longest))]
    first = clm.longrope_boundary
    if first is not None and longest > first:
        batch = [index for index in batch if lengths[index] > first]
    return batch


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Indices by falling length: a batch that does not fit in memory shows at once."""
    return sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def in_batches(
    clm: Clm, lengths: Sequence[int], run: Callable[[list[int]], T], *, budgets: int = 1
) -> Iterator[tuple[list[int], T]]:
    """Run every batch; where memory is short, the CLM's budget is halved and the work goes on.

    A batch holds `budgets` times the CLM's token budget: more where its rows were read before.

    Raises:
        ClmError: one row alone does not fit.
    """
    waiting = longest_first(lengths)
    while waiting:
        batch, result = _next_batch(clm, lengths, waiting, budgets), None
        try:
            result = run(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if result is None:
            # Outside the handler, which holds the frames and what they hold.
            _shrink(clm, max(1, lengths[batch[0]]), len(batch), budgets)
            continue
        waiting = waiting[len(batch) :]
        yield batch, result


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the CPU's or a GPU's memory was short: on the CPU torch has no class for it."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "allocate memory" in str(error)


def _shrink(clm: Clm, length: int, rows: int, budgets: int) -> None:
    """Halve what has just failed.

    Raises:
        ClmError: there was one row alone.
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
    lengths: Sequence[int], slack: float = 1.25, *, turn: int | None = None
) -> list[list[int]]:
    """Indices in groups of like length: the longest is at most `slack` times the shortest.

    Rows up to `turn` (see `Clm.first_window`) and longer ones stay apart.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        shortest = lengths[groups[-1][0]] if groups else 0
        turns = turn is not None and shortest <= turn < lengths[index]
        if not groups or turns or lengths[index] > slack * shortest:
            groups.append([])
        groups[-1].append(index)
    return groups


def pad_right(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> torch.Tensor:
    """Rows as one tensor of shape (rows, longest row)."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)
