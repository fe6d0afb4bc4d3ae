"""Continue many prefixes at once, each from the cached keys and values of the row it stands in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from erasetest.clm.batching import batches, in_batches, pad_right
from erasetest.clm.kv_cache import KeysAndValues, after_prefixes, read_rows, roomy_cache
from erasetest.clm.load import Clm

Choose = Callable[[torch.Tensor, list[int], int], torch.Tensor]
"""Picks tokens: from logits (jobs, vocabulary) in float32, the jobs' numbers, and the step."""

Stop = Callable[[int, list[int]], bool]
"""Whether the job of this number, having written these tokens, is over."""

_BUDGETS = 8
"""How many times more tokens stand in rows that were read before than in those being read."""

_STOP_EVERY = 4
_COMPACT_BELOW = 0.75
_LOCAL = ("sliding_window", "attention_chunk_size", "window_size")
"""What configurations call the reach of their local layers."""


@dataclass(frozen=True, slots=True, repr=False)
class Continuation:
    """A job: continue the first `prefix` tokens of row `row` by at most `tokens` tokens.

    Where `then` is given, that token comes after the prefix first; it is not among the results.
    """

    row: int
    prefix: int
    tokens: int
    then: int | None = None

    @property
    def given(self) -> int:
        """How many tokens there are before the first new one."""
        return self.prefix + (self.then is not None)

    def read(self, row: Sequence[int]) -> list[int]:
        """These tokens."""
        return [*row[: self.prefix], *([] if self.then is None else [self.then])]


def greedy(logits: torch.Tensor, jobs: list[int], step: int) -> torch.Tensor:
    """The most likely token of each job."""
    return logits.argmax(-1)


def continuations(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    jobs: Sequence[Continuation],
    *,
    choose: Choose = greedy,
    stop: Stop | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[list[int]]:
    """The tokens that follow each job's prefix, without the end-of-text token that may end them.

    Each row is read once; its jobs share what is cached. `stop`, asked every few tokens, ends a job
    early. Every prefix has at least one token, and prefix and continuation fit the CLM's window.
    """
    results: list[list[int]] = [[] for _ in jobs]
    by_row: dict[int, list[int]] = {}
    for number, job in enumerate(jobs):
        if job.tokens > 0:
            by_row.setdefault(job.row, []).append(number)
    shareable: dict[bool, list[int]] = {True: [], False: []}
    room = max((job.tokens for job in jobs), default=0)
    for row in sorted(by_row):
        mine = [jobs[n] for n in by_row[row]]
        given, ends = [job.given for job in mine], max(job.given + job.tokens for job in mine)
        shared = shares_cache(clm, min(given), ends, max(given) + room)
        shareable[shared].append(row)
    for shared, used in shareable.items():
        lengths = [max(jobs[n].given for n in by_row[row]) for row in used]

        def run(batch: list[int], used: list[int] = used, shared: bool = shared) -> list[Done]:
            chosen = [used[i] for i in batch]
            numbers = [n for row in chosen for n in by_row[row]]
            return _run_batch(clm, rows, jobs, chosen, numbers, choose, stop, progress, shared)

        for _, done in in_batches(clm, lengths, run):
            for tokens, number in done:
                results[number] = tokens
    return results


Done = tuple[list[int], int]


@torch.no_grad()
def _run_batch(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    jobs: Sequence[Continuation],
    chosen: list[int],
    numbers: list[int],
    choose: Choose,
    stop: Stop | None,
    progress: Callable[[int], None] | None,
    shared: bool,
) -> list[Done]:
    # The longest first: as jobs end, those that remain stay a prefix of the batch.
    numbers = sorted(numbers, key=lambda n: (-jobs[n].tokens, n))
    place = {row: i for i, row in enumerate(chosen)}
    width = max(jobs[n].given for n in numbers)
    done: list[Done] = []
    cached: KeysAndValues | None = None
    if shared:
        longest = {row: max(jobs[n].given for n in numbers if jobs[n].row == row) for row in chosen}
        ids = pad_right([rows[row][: longest[row]] for row in chosen], clm.start_token, clm.device)
        # The first step reads the last token of each prefix once more: its logits are needed.
        cached = read_rows(clm, ids[:, :-1]) if width > 1 else None

    def run(part: list[int]) -> list[list[int]]:
        chosen_part = [numbers[i] for i in part]
        return _run_part(clm, rows, jobs, cached, place, chosen_part, choose, stop, shared)

    lengths = [width + jobs[n].tokens for n in numbers]
    for part, made in in_batches(clm, lengths, run, budgets=_BUDGETS):
        done += zip(made, (numbers[i] for i in part), strict=True)
        if progress is not None:
            progress(len(part))
    return done


def _run_part(
    clm: Clm,
    rows: Sequence[Sequence[int]],
    jobs: Sequence[Continuation],
    cached: KeysAndValues | None,
    place: dict[int, int],
    part: list[int],
    choose: Choose,
    stop: Stop | None,
    shared: bool,
) -> list[list[int]]:
    prefixes = [jobs[n].read(rows[jobs[n].row]) for n in part]
    session: _Session
    if shared:
        room = max(jobs[n].tokens for n in part)
        session = _Cached(clm, prefixes, cached, [place[jobs[n].row] for n in part], room)
    else:
        session = _Plain(clm, prefixes)
    return _generate(session, part, jobs, choose, stop, clm.end_tokens)


def _generate(
    session: _Session,
    part: list[int],
    jobs: Sequence[Continuation],
    choose: Choose,
    stop: Stop | None,
    ends: frozenset[int],
) -> list[list[int]]:
    tokens: list[list[int]] = [[] for _ in part]
    seats = list(range(len(part)))  # which job each sequence of the session continues
    ended = [False] * len(part)
    for step in itertools.count():
        chosen = choose(session.logits(), [part[a] for a in seats], step).tolist()
        for a, token in zip(seats, chosen, strict=True):
            if ended[a] or token in ends:
                ended[a] = True
                continue
            tokens[a].append(token)
            asked = stop is not None and (step + 1) % _STOP_EVERY == 0
            ended[a] = len(tokens[a]) == jobs[part[a]].tokens or (
                asked and stop is not None and stop(part[a], tokens[a])
            )
        keep = _keep([ended[a] for a in seats])
        if not keep:
            return tokens
        seats = [seats[k] for k in keep]
        session.advance([chosen[k] for k in keep], keep)
    raise AssertionError("every job ends")


def _keep(ended: list[bool]) -> list[int]:
    """Which sequences to go on with: dropping the last ones is free, dropping others is a copy."""
    alive = [place for place, over in enumerate(ended) if not over]
    if len(alive) <= _COMPACT_BELOW * len(ended):
        return alive
    return list(range(alive[-1] + 1))


class _Session:
    """Sequences being continued."""

    def logits(self) -> torch.Tensor:
        """Logits (sequences, vocabulary) of the next token of each."""
        raise NotImplementedError

    def advance(self, tokens: list[int], keep: list[int]) -> None:
        """Keep the sequences at these places and append one token to each."""
        raise NotImplementedError


class _Cached(_Session):
    """Sequences that share the keys and values of the rows that they begin in.

    A sequence of prefix n sees the first n - 1 places of its row's cache; the rest of the row is
    masked, and new tokens are appended behind it with the positions that they have in the text.
    """

    def __init__(
        self,
        clm: Clm,
        prefixes: list[list[int]],
        cached: KeysAndValues | None,
        places: list[int],
        room: int,
    ) -> None:
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
        select = torch.tensor(places, device=device)
        self._cache = roomy_cache(cached, select, room)

    def logits(self) -> torch.Tensor:
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
        device = self._tokens.device
        if len(keep) < len(self._tokens):
            front = keep[-1] + 1 == len(keep)
            select = slice(len(keep)) if front else torch.tensor(keep, device=device)
            self._cache.batch_select_indices(select)
            self._mask = self._mask[select]
            self._positions = self._positions[select]
        self._tokens = torch.tensor(tokens, device=device)
        self._positions = self._positions + 1


class _Plain(_Session):
    """Sequences that are read anew for each token: slow, and right for any causal model."""

    def __init__(self, clm: Clm, prefixes: list[list[int]]) -> None:
        self._clm = clm
        self._sequences = prefixes

    def logits(self) -> torch.Tensor:
        out: list[torch.Tensor | None] = [None] * len(self._sequences)
        for batch in batches(self._clm, [len(s) for s in self._sequences]):
            rows = [self._sequences[i] for i in batch]
            ids = pad_right(rows, self._clm.start_token, self._clm.device)
            logits = self._clm.model(input_ids=ids, use_cache=False).logits
            for place, i in enumerate(batch):
                out[i] = logits[place, len(rows[place]) - 1].float()
        return torch.stack([logits for logits in out if logits is not None])

    def advance(self, tokens: list[int], keep: list[int]) -> None:
        self._sequences = [
            [*self._sequences[k], token] for k, token in zip(keep, tokens, strict=True)
        ]


def shares_cache(clm: Clm, shortest: int, longest: int, width: int) -> bool:
    """Whether what was read of a row can be gone on from `shortest` tokens of it, to `longest`.

    Tried once for each CLM: recurrent layers and foreign caches fail, and are read plainly, and so
    are rows that get other positions on the way, and rows whose cache, of `width` places with all
    that its batch may append, is wider than a layer's sliding window.
    """
    reach, turn = _local_reach(clm), clm.longrope_boundary
    if reach is not None and width > reach:
        return False
    # What is cached lacks the last of the tokens that are given.
    if turn is not None and shortest - 1 <= turn < longest:
        return False
    if "cache" not in clm.checked:
        clm.checked["cache"] = _cache_can_be_shared(clm)
    return clm.checked["cache"]


def _local_reach(clm: Clm) -> int | None:
    """How many of the newest tokens the layers of least reach see; None where all see all.

    They count places in the cache, where new tokens do not stand at their places in the text.
    """
    config = clm.model.config.get_text_config(decoder=True)
    sizes = [getattr(config, name, None) for name in _LOCAL]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=None)


@torch.no_grad()
def _cache_can_be_shared(clm: Clm) -> bool:
    """On tokens of no meaning, one and two at a time, against reading the same text plainly."""
    vocabulary = clm.model.config.get_text_config(decoder=True).vocab_size
    ids = [(7 * i + 3) % vocabulary for i in range(12)]
    try:
        cached = read_rows(clm, torch.tensor([ids[:9]], device=clm.device))
        session = _Cached(clm, [ids[:6], ids[:10]], cached, [0, 0], 2)
        first = session.logits()
        session.advance([ids[6], ids[10]], [0, 1])
        second = session.logits()
        together = after_prefixes(clm, cached, [0, 0], [6, 10], [ids[5:7], ids[9:11]]).logits[:, -1]
    except (AttributeError, TypeError, RuntimeError, ValueError, IndexError):
        return False
    rows = [ids[:6], ids[:10], ids[:7], ids[:11]]
    plain = _Plain(clm, rows).logits()
    tolerance = 1e-3 if clm.dtype == torch.float32 else 0.25
    found = torch.cat([first, second, together.float()])
    return torch.allclose(found, torch.cat([plain, plain[2:]]), atol=tolerance, rtol=tolerance)
