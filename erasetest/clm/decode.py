"""Continue many prefixes at once, each from the cached keys and values of the row it stands in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from erasetest.clm.load import Clm
from erasetest.clm.score import batches, pad_right

Choose = Callable[[torch.Tensor, list[int], int], torch.Tensor]
"""Picks tokens: from logits (jobs, vocabulary) in float32, the jobs' numbers, and the step."""

Stop = Callable[[int, list[int]], bool]
"""Whether the job of this number, having written these tokens, is over."""

_JOBS_PER_BUDGET = 8
_STOP_EVERY = 4
_COMPACT_BELOW = 0.75


@dataclass(frozen=True, slots=True, repr=False)
class Continuation:
    """A job: continue the first `prefix` tokens of row `row` by at most `tokens` tokens."""

    row: int
    prefix: int
    tokens: int


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
    used = sorted(by_row)
    if "cache" not in clm.checked:
        clm.checked["cache"] = _cache_can_be_shared(clm)
    lengths = [max(jobs[n].prefix for n in by_row[row]) for row in used]
    for batch in batches(lengths, clm.batch_tokens):
        chosen = [used[i] for i in batch]
        numbers = [n for row in chosen for n in by_row[row]]
        for tokens, number in _run_batch(clm, rows, jobs, chosen, numbers, choose, stop, progress):
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
) -> list[Done]:
    # The longest first: as jobs end, those that remain stay a prefix of the batch.
    numbers = sorted(numbers, key=lambda n: (-jobs[n].tokens, n))
    place = {row: i for i, row in enumerate(chosen)}
    width = max(jobs[n].prefix for n in numbers)
    size = max(1, _JOBS_PER_BUDGET * clm.batch_tokens // width)
    done: list[Done] = []
    cached: list[tuple[torch.Tensor, torch.Tensor]] | None = None
    if clm.checked["cache"]:
        longest = {
            row: max(jobs[n].prefix for n in numbers if jobs[n].row == row) for row in chosen
        }
        ids = pad_right([rows[row][: longest[row]] for row in chosen], clm.start_token, clm.device)
        # The first step reads the last token of each prefix once more: its logits are needed.
        cached = _read(clm, ids[:, :-1]) if width > 1 else None
    for start in range(0, len(numbers), size):
        part = numbers[start : start + size]
        prefixes = [list(rows[jobs[n].row][: jobs[n].prefix]) for n in part]
        session: _Session
        room = max(jobs[n].tokens for n in part)
        if clm.checked["cache"]:
            session = _Cached(clm, prefixes, cached, [place[jobs[n].row] for n in part], room)
        else:
            session = _Plain(clm, prefixes)
        tokens = _generate(session, part, jobs, choose, stop, clm.end_tokens)
        done += list(zip(tokens, part, strict=True))
        if progress is not None:
            progress(len(part))
    return done


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
        cached: list[tuple[torch.Tensor, torch.Tensor]] | None,
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
        self._cache = _roomy_cache(cached, select, room)

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


def _roomy_cache(
    cached: list[tuple[torch.Tensor, torch.Tensor]] | None, select: torch.Tensor, room: int
) -> Any:
    """A cache of the selected rows with room for that many more tokens, written in place.

    transformers' own dynamic cache copies all keys and values for every token.
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


class _Plain(_Session):
    """Sequences that are read anew for each token: slow, and right for any causal model."""

    def __init__(self, clm: Clm, prefixes: list[list[int]]) -> None:
        self._clm = clm
        self._sequences = prefixes

    def logits(self) -> torch.Tensor:
        out: list[torch.Tensor | None] = [None] * len(self._sequences)
        for batch in batches([len(s) for s in self._sequences], self._clm.batch_tokens):
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


def _read(clm: Clm, ids: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    from transformers import DynamicCache

    cache: Any = DynamicCache()
    clm.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers]


@torch.no_grad()
def _cache_can_be_shared(clm: Clm) -> bool:
    """Try the shared cache once on tokens of no meaning, against reading the same text plainly.

    Sliding windows, recurrent layers and foreign caches fail here, and are read plainly.
    """
    vocabulary = clm.model.config.get_text_config(decoder=True).vocab_size
    ids = [(7 * i + 3) % vocabulary for i in range(12)]
    try:
        cached = _read(clm, torch.tensor([ids[:9]], device=clm.device))
        session = _Cached(clm, [ids[:6], ids[:10]], cached, [0, 0], 2)
        first = session.logits()
        session.advance([ids[6], ids[10]], [0, 1])
        second = session.logits()
    except (AttributeError, TypeError, RuntimeError, ValueError, IndexError):
        return False
    rows = [ids[:6], ids[:10], ids[:7], ids[:11]]
    plain = _Plain(clm, rows).logits()
    tolerance = 1e-3 if clm.dtype == torch.float32 else 0.25
    return torch.allclose(torch.cat([first, second]), plain, atol=tolerance, rtol=tolerance)
