"""Score many continuations of the same prefix; the prefix is read once for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from erasetest.clm.batching import CACHED_BUDGETS, in_batches, pad_right
from erasetest.clm.decode_sessions import shares_cache
from erasetest.clm.kv_cache import KeysAndValues, after_prefixes, read_rows
from erasetest.clm.model import Clm
from erasetest.clm.sampler import Sampler
from erasetest.clm.teacher_forcing import (
    Scored,
    Target,
    has_separate_head,
    read_tokens,
    score,
    split_columns,
)


@dataclass(frozen=True, slots=True, repr=False)
class Branch:
    """Tokens to score after the first `prefix` tokens of row `row`; `prefix` is at least 1."""

    row: int
    prefix: int
    tokens: tuple[int, ...]


@dataclass(slots=True, eq=False, repr=False)
class _Job:
    """A branch while it is scored."""

    index: int
    branch: Branch
    scored: Scored | None = None

    @property
    def scores(self) -> Scored:
        """Scores of the branch's tokens, once they are known."""
        assert self.scored is not None
        return self.scored


def score_branches(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    sampler: Sampler | None = None,
) -> list[Scored]:
    """Return the scores of each branch's tokens, in order, without their `z_scores`.

    Args:
        clm: the CLM.
        rows: token ids; branches refer to them by index.
        branches: prefix and tokens of each fit the CLM's window.
        sampler: distribution of the column `sampled`; None for the CLM's own.
    """
    sampler = sampler or Sampler()
    jobs = [_Job(index, branch) for index, branch in enumerate(branches)]
    by_row: dict[int, list[_Job]] = {}
    for job in jobs:
        by_row.setdefault(job.branch.row, []).append(job)
    separate: list[_Job] = []
    room = max((len(branch.tokens) for branch in branches), default=0)
    for row, mine in list(by_row.items()):
        prefixes = [job.branch.prefix for job in mine]
        longest = max(job.branch.prefix + len(job.branch.tokens) for job in mine)
        if not shares_cache(clm, min(prefixes), longest, max(prefixes) + room):
            separate += by_row.pop(row)
    _score_whole_texts(clm, rows, separate, sampler)
    shared = [by_row[row] for row in sorted(by_row)]
    lengths = [max(job.branch.prefix for job in mine) for mine in shared]
    for _ in in_batches(
        clm, lengths, lambda batch: _score_rows(clm, rows, [shared[i] for i in batch], sampler)
    ):
        pass
    return [job.scores for job in jobs]


def _score_whole_texts(
    clm: Clm, rows: Sequence[Sequence[int]], jobs: list[_Job], sampler: Sampler
) -> None:
    """Score branches of which each is read with its own copy of the prefix."""
    targets = []
    for job in jobs:
        ids = (*rows[job.branch.row][: job.branch.prefix], *job.branch.tokens)
        targets.append(Target(ids, job.branch.prefix, len(ids)))
    for job, scored in zip(
        jobs, score(clm, targets, sampler=sampler, with_z_scores=False), strict=True
    ):
        job.scored = scored


@torch.no_grad()
def _score_rows(
    clm: Clm, rows: Sequence[Sequence[int]], by_row: list[list[_Job]], sampler: Sampler
) -> None:
    """Read rows once, and score their branches from the cached keys and values."""
    prefixes = [
        rows[mine[0].branch.row][: max(job.branch.prefix for job in mine)] for mine in by_row
    ]
    ids = pad_right(prefixes, clm.start_token, clm.device)
    cached = read_rows(clm, ids)
    places = {mine[0].branch.row: place for place, mine in enumerate(by_row)}
    jobs = sorted(
        itertools.chain.from_iterable(by_row), key=lambda job: (-len(job.branch.tokens), job.index)
    )
    for alike in _alike(jobs):
        width = ids.shape[1] + len(alike[0].branch.tokens)

        def run(part: list[int], alike: list[_Job] = alike) -> None:
            mine = [alike[i] for i in part]
            found = _score(clm, rows, [job.branch for job in mine], cached, places, sampler)
            for job, scored in zip(mine, found, strict=True):
                job.scored = scored

        for _ in in_batches(clm, [width] * len(alike), run, budgets=CACHED_BUDGETS):
            pass


def _alike(jobs: list[_Job]) -> Iterator[list[_Job]]:
    """Yield runs of jobs, the longest first, of which none would be padded by more than a third."""
    begin = 0
    for end in range(1, len(jobs) + 1):
        longest = len(jobs[begin].branch.tokens)
        if end == len(jobs) or len(jobs[end].branch.tokens) * 4 < longest * 3:
            yield jobs[begin:end]
            begin = end


def _score(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    branches: list[Branch],
    cached: KeysAndValues,
    places: dict[int, int],
    sampler: Sampler,
) -> list[Scored]:
    """Score branches in one forward pass; `places` has the index in `cached` of each row."""
    # The last token of a prefix is read again, since its logits predict the first of the branch.
    given = [[rows[b.row][b.prefix - 1], *b.tokens[:-1]] for b in branches]
    separate = has_separate_head(clm)
    out = after_prefixes(
        clm,
        cached,
        [places[b.row] for b in branches],
        [b.prefix for b in branches],
        given,
        clm.model.base_model if separate else clm.model,
    )
    states = out.last_hidden_state if separate else out.logits
    sizes = [len(b.tokens) for b in branches]
    flat = torch.cat([row[:size] for row, size in zip(states, sizes, strict=True)])
    truth = torch.tensor([token for b in branches for token in b.tokens], device=clm.device)
    read = read_tokens(
        clm, flat, truth, sampler, states_are_logits=not separate, with_z_scores=False
    )
    return split_columns(read, sizes)
