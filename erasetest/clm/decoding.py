"""Continue many prefixes at once, each from the cached keys and values of the row it is part of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from erasetest.clm.batching import CACHED_BUDGETS, in_batches, pad_right
from erasetest.clm.decode_sessions import (
    CachedSession,
    DecodeSession,
    PlainSession,
    shares_cache,
)
from erasetest.clm.kv_cache import read_rows
from erasetest.clm.model import Clm
from erasetest.support.progress import Progress

Choose = Callable[[torch.Tensor, list[int], int], torch.Tensor]
"""Function that chooses one token per job, (jobs,), from logits (jobs, vocabulary) in float32, the
indices of the jobs, and the step from 0."""

Stop = Callable[[int, list[int]], bool]
"""Function that returns whether a job, given its index and its new tokens so far, is finished."""

STOP_EVERY = 4
"""Number of steps between two calls of a `Stop` that decodes the tokens to text."""

_COMPACT_BELOW = 0.75
"""Share of running sequences below which the finished ones are removed, at the cost of a copy."""


@dataclass(frozen=True, slots=True, repr=False)
class Continuation:
    """A job: continue the first `prefix` tokens of row `row` by at most `tokens` tokens.

    If `then` is given, it follows the prefix before the first new token, and is not part of the
    result.
    """

    row: int
    prefix: int
    tokens: int
    then: int | None = None

    @property
    def given(self) -> int:
        """Number of tokens before the first new one."""
        return self.prefix + (self.then is not None)

    def read(self, row: Sequence[int]) -> list[int]:
        """Return the tokens before the first new one."""
        return [*row[: self.prefix], *([] if self.then is None else [self.then])]


def greedy(logits: torch.Tensor, jobs: list[int], step: int) -> torch.Tensor:
    """Return the most likely token of each job."""
    return logits.argmax(-1)


def continuations(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    jobs: Sequence[Continuation],
    *,
    choose: Choose = greedy,
    stop: Stop | None = None,
    stop_every: int = STOP_EVERY,
    progress: Progress | None = None,
) -> list[list[int]]:
    """Return the tokens that follow each job's prefix, without the end-of-text token.

    Each row is read once; its jobs share the cached keys and values.

    Args:
        clm: the CLM that writes them.
        rows: token ids; jobs refer to them by index.
        jobs: each with a prefix of at least one token; prefix and continuation fit the window.
        choose: chooses the next tokens.
        stop: ends a job early.
        stop_every: number of steps between two calls of `stop`.
        progress: called with the number of finished jobs and of all.
    """
    running = [_Job(index, request) for index, request in enumerate(jobs)]
    _Decoder(clm, rows, choose, (stop, stop_every), progress).run(running)
    return [job.tokens for job in running]


@dataclass(slots=True, eq=False, repr=False)
class _Job:
    """A continuation while it is decoded."""

    index: int
    """Its index among all jobs, by which `Choose` and `Stop` identify it."""
    request: Continuation
    tokens: list[int] = field(default_factory=list)
    """New tokens so far."""
    ended: bool = False


class _Decoder:
    """Decodes jobs: groups them by row, reads the rows in batches, then continues the jobs."""

    def __init__(
        self,
        clm: Clm,
        rows: Sequence[Sequence[int]],
        choose: Choose,
        stop: tuple[Stop | None, int],
        progress: Progress | None,
    ) -> None:
        self._clm, self._rows, self._choose = clm, rows, choose
        self._stop, self._stop_every = stop
        self._progress = progress
        self._end_tokens = clm.end_tokens
        self._done = self._total = 0

    def run(self, jobs: list[_Job]) -> None:
        """Decode all jobs."""
        by_row: dict[int, list[_Job]] = {}
        for job in jobs:
            if job.request.tokens > 0:
                by_row.setdefault(job.request.row, []).append(job)
        self._total = len(jobs)
        self._done = len(jobs) - sum(map(len, by_row.values()))
        room = max((job.request.tokens for job in jobs), default=0)
        groups: dict[bool, list[list[_Job]]] = {True: [], False: []}
        for row in sorted(by_row):
            groups[self._can_share_cache(by_row[row], room)].append(by_row[row])
        for shared, group in groups.items():
            lengths = [max(job.request.given for job in mine) for mine in group]
            decode = partial(self._decode_rows, group, shared)
            for _ in in_batches(self._clm, lengths, decode):
                pass

    def _can_share_cache(self, jobs: list[_Job], room: int) -> bool:
        """Return whether the jobs of a row may share its cache, with `room` tokens appended."""
        given = [job.request.given for job in jobs]
        longest = max(job.request.given + job.request.tokens for job in jobs)
        return shares_cache(self._clm, min(given), longest, max(given) + room)

    @torch.no_grad()
    def _decode_rows(self, by_row: list[list[_Job]], shared: bool, batch: list[int]) -> None:
        """Decode the jobs of a batch of rows."""
        chosen = [by_row[i] for i in batch]
        open_session = self._read_rows(chosen) if shared else self._plain_session
        # The longest jobs first: as jobs end, the running ones stay at the front of the batch.
        jobs = sorted(
            itertools.chain.from_iterable(chosen), key=lambda job: (-job.request.tokens, job.index)
        )
        width = max(job.request.given for job in jobs)

        def decode(part: list[int]) -> None:
            mine = [jobs[i] for i in part]
            self._decode(mine, open_session(mine))

        lengths = [width + job.request.tokens for job in jobs]
        for part, _ in in_batches(self._clm, lengths, decode, budgets=CACHED_BUDGETS):
            self._done += len(part)
            if self._progress is not None:
                self._progress(self._done, self._total)

    def _read_rows(self, by_row: list[list[_Job]]) -> Callable[[list[_Job]], DecodeSession]:
        """Read the rows of jobs once; return a function that opens sessions on their cache."""
        rows = [mine[0].request.row for mine in by_row]
        longest = [max(job.request.given for job in mine) for mine in by_row]
        ids = pad_right(
            [self._rows[row][:length] for row, length in zip(rows, longest, strict=True)],
            self._clm.start_token,
            self._clm.device,
        )
        # The first step of a session reads the last token of each prefix, so it is not cached.
        cached = read_rows(self._clm, ids[:, :-1]) if max(longest) > 1 else None
        places = {row: place for place, row in enumerate(rows)}

        def open_session(jobs: list[_Job]) -> DecodeSession:
            room = max(job.request.tokens for job in jobs)
            of_jobs = [places[job.request.row] for job in jobs]
            return CachedSession(self._clm, self._prefixes(jobs), cached, of_jobs, room)

        return open_session

    def _plain_session(self, jobs: list[_Job]) -> DecodeSession:
        return PlainSession(self._clm, self._prefixes(jobs))

    def _prefixes(self, jobs: list[_Job]) -> list[list[int]]:
        return [job.request.read(self._rows[job.request.row]) for job in jobs]

    def _decode(self, jobs: list[_Job], session: DecodeSession) -> None:
        """Decode jobs, each a sequence of the session, until all have ended."""
        for job in jobs:
            # Jobs of a batch that ran out of memory are decoded again, in smaller batches.
            job.tokens, job.ended = [], False
        for step in itertools.count():
            chosen = self._choose(session.logits(), [job.index for job in jobs], step).tolist()
            for job, token in zip(jobs, chosen, strict=True):
                if not job.ended:
                    self._append(job, token, step)
            keep = _indices_to_keep([job.ended for job in jobs])
            if not keep:
                return
            jobs = [jobs[k] for k in keep]
            session.advance([chosen[k] for k in keep], keep)

    def _append(self, job: _Job, token: int, step: int) -> None:
        """Append a token to a job, or end the job."""
        if token in self._end_tokens:
            job.ended = True
            return
        job.tokens.append(token)
        job.ended = len(job.tokens) == job.request.tokens
        if not job.ended and self._stop is not None and (step + 1) % self._stop_every == 0:
            job.ended = self._stop(job.index, job.tokens)


def _indices_to_keep(ended: list[bool]) -> list[int]:
    """Return which sequences to continue: removing the last ones is free, others cost a copy."""
    running = [index for index, is_over in enumerate(ended) if not is_over]
    if len(running) <= _COMPACT_BELOW * len(ended):
        return running
    return list(range(running[-1] + 1))
