"""Score many continuations of one prefix each: the prefix is read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from erasetest.clm.batching import in_batches, pad_right
from erasetest.clm.decode_sessions import shares_cache
from erasetest.clm.kv_cache import KeysAndValues, after_prefixes, read_rows
from erasetest.clm.model import Clm
from erasetest.clm.sampler import Sampler
from erasetest.clm.teacher_forcing import (
    Target,
    has_separate_head,
    read_tokens,
    score,
    split_columns,
)

_BUDGETS = 8


@dataclass(frozen=True, slots=True, repr=False)
class Branch:
    """Tokens that are to follow the first `prefix` tokens of row `row`, `prefix` at least 1."""

    row: int
    prefix: int
    tokens: tuple[int, ...]


def score_branches(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    sampler: Sampler | None = None,
) -> list[tuple[float, ...]]:
    """Log-probabilities of each branch's tokens under the sampler, natural, in the order given.

    Prefix and branch fit the CLM's window.
    """
    sampler = sampler or Sampler()
    results: list[tuple[float, ...]] = [()] * len(branches)
    by_row: dict[int, list[int]] = {}
    for number, branch in enumerate(branches):
        by_row.setdefault(branch.row, []).append(number)
    alone: list[int] = []
    room = max((len(branch.tokens) for branch in branches), default=0)
    for row, mine in list(by_row.items()):
        prefixes = [branches[n].prefix for n in mine]
        ends = max(branches[n].prefix + len(branches[n].tokens) for n in mine)
        if not shares_cache(clm, min(prefixes), ends, max(prefixes) + room):
            alone += by_row.pop(row)
    targets = []
    for branch in (branches[number] for number in alone):
        ids = (*rows[branch.row][: branch.prefix], *branch.tokens)
        targets.append(Target(ids, branch.prefix, len(ids)))
    for number, scored in zip(alone, score(clm, targets, sampler=sampler), strict=True):
        results[number] = scored.sampled
    used = sorted(by_row)

    def run(batch: list[int]) -> list[tuple[int, tuple[float, ...]]]:
        return _run_batch(clm, rows, branches, {used[i]: by_row[used[i]] for i in batch}, sampler)

    lengths = [max(branches[n].prefix for n in by_row[row]) for row in used]
    for _, done in in_batches(clm, lengths, run):
        for number, found in done:
            results[number] = found
    return results


@torch.no_grad()
def _run_batch(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    by_row: dict[int, list[int]],
    sampler: Sampler,
) -> list[tuple[int, tuple[float, ...]]]:
    longest = {row: max(branches[n].prefix for n in mine) for row, mine in by_row.items()}
    ids = pad_right([rows[row][:cut] for row, cut in longest.items()], clm.start_token, clm.device)
    cached = read_rows(clm, ids)
    place = {row: number for number, row in enumerate(by_row)}
    numbers = sorted(
        (n for mine in by_row.values() for n in mine), key=lambda n: (-len(branches[n].tokens), n)
    )
    width = ids.shape[1] + len(branches[numbers[0]].tokens)

    def run(part: list[int]) -> list[tuple[float, ...]]:
        return _score(clm, rows, [branches[numbers[i]] for i in part], cached, place, sampler)

    return [
        (numbers[i], found)
        for part, scores in in_batches(clm, [width] * len(numbers), run, budgets=_BUDGETS)
        for i, found in zip(part, scores, strict=True)
    ]


def _score(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    part: list[Branch],
    cached: KeysAndValues,
    place: dict[int, int],
    sampler: Sampler,
) -> list[tuple[float, ...]]:
    given = [[rows[b.row][b.prefix - 1], *b.tokens[:-1]] for b in part]
    separate = has_separate_head(clm)
    out = after_prefixes(
        clm,
        cached,
        [place[b.row] for b in part],
        [b.prefix for b in part],
        given,
        clm.model.base_model if separate else clm.model,
    )
    states = out.last_hidden_state if separate else out.logits
    sizes = [len(b.tokens) for b in part]
    flat = torch.cat([row[:size] for row, size in zip(states, sizes, strict=True)])
    truth = torch.tensor([token for b in part for token in b.tokens], device=clm.device)
    read = read_tokens(clm, flat, truth, sampler, states_are_logits=not separate)
    return [found.sampled for found in split_columns(read, sizes)]
