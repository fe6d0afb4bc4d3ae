"""Teacher-forced scoring: what the CLM would have said at each token of a text, in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from erasetest.clm.batching import in_batches, pad_right
from erasetest.clm.model import Clm
from erasetest.clm.sampler import Sampler


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """Tokens `[first, last)` of `ids`, to be predicted from all that stands before each.

    `first` is at least 1; `ids` holds nothing past `last` and fits the CLM's window.
    """

    ids: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True, repr=False)
class Scored:
    """What one pass tells of each of n target tokens; all n long, logarithms natural.

    Attributes:
        greedy: the CLM's most likely token.
        runners_up: the second.
        leads: by how much the first leads before the second, in logits.
        margins: how far it is from the other answer, in logits: by how much the true token leads
            where it is the most likely, and minus how much it lacks where it is not.
        log_probs: of the true token.
        sampled: of the true token under the sampler asked for.
        z_scores: `(log p - mean) / sd` of the true token, mean and standard deviation of log p over
            the vocabulary under p.
    """

    greedy: tuple[int, ...]
    runners_up: tuple[int, ...]
    leads: tuple[float, ...]
    margins: tuple[float, ...]
    log_probs: tuple[float, ...]
    sampled: tuple[float, ...]
    z_scores: tuple[float, ...]

    def part(self, first: int, last: int) -> Scored:
        """The tokens `[first, last)`, counted from the first that was scored."""
        cut = slice(first, last)
        return Scored(*(getattr(self, column)[cut] for column in self.__slots__))

    @classmethod
    def joined(cls, parts: Sequence[Scored]) -> Scored:
        """Parts one behind the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(sum((getattr(p, column) for p in parts), ()) for column in cls.__slots__))


_SLICE = 1 << 23
"""Logits that are held at a time: rows x vocabulary, in float32 (32 MiB)."""

_FEWEST_ROWS = 64
_SMALLEST_SD = 1e-3
"""Nats. A distribution that is all on one token has none, and would divide by it."""

_NEVER = -1e4
"""Stands for log 0 where it is multiplied by a probability of 0."""


def score(
    clm: Clm,
    targets: Sequence[Target],
    *,
    sampler: Sampler | None = None,
) -> list[Scored]:
    """Score every target; results in the order given.

    Rows are padded on the right, where a causal model cannot look, and batched by length under the
    CLM's token budget; only the rows needed go through the output head, some at a time, so that
    no tensor of batch x length x vocabulary is ever made.
    """
    sampler = sampler or Sampler()
    parts = [part for target in targets for part in _one_way_each(clm, target)]
    results: list[Scored | None] = [None] * len(parts)
    # The last token of a row is predicted and not read.
    lengths = [len(part.ids) - 1 for part in parts]
    for batch, scored in in_batches(
        clm, lengths, lambda batch: _score_batch(clm, [parts[i] for i in batch], sampler)
    ):
        for index, found in zip(batch, scored, strict=True):
            results[index] = found
    found_parts = iter(found for found in results if found is not None)
    return [
        Scored.joined([next(found_parts) for _ in _one_way_each(clm, target)]) for target in targets
    ]


def _one_way_each(clm: Clm, target: Target) -> list[Target]:
    """The target in parts whose rows are read with the same positions to their ends."""
    turn = clm.longrope_boundary
    if turn is None or not target.first <= turn < target.last - 1:
        return [target]
    return [
        Target(target.ids[: turn + 1], target.first, turn + 1),
        Target(target.ids, turn + 1, target.last),
    ]


def hidden_states(clm: Clm, ids: torch.Tensor) -> torch.Tensor | None:
    """Last hidden states (batch, length, width), or None where the head is more than a matrix."""
    if not has_separate_head(clm):
        return None
    hidden: torch.Tensor = clm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return hidden


def has_separate_head(clm: Clm) -> bool:
    """Whether the output head on the last hidden states gives the logits: tried once for a CLM."""
    if "head" not in clm.capabilities:
        clm.capabilities["head"] = _head_is_separate(clm)
    return clm.capabilities["head"]


def head(clm: Clm, hidden: torch.Tensor) -> torch.Tensor:
    """Logits in float32, of shape (rows, vocabulary), of hidden states (rows, width)."""
    logits: torch.Tensor = clm.model.get_output_embeddings()(hidden)
    return logits.float()


@torch.no_grad()
def _head_is_separate(clm: Clm) -> bool:
    if clm.model.base_model is clm.model or clm.model.get_output_embeddings() is None:
        return False
    config = clm.model.config.get_text_config(decoder=True)
    if getattr(config, "final_logit_softcapping", None):
        return False
    ids = torch.arange(min(8, clm.window), device=clm.device).unsqueeze(0) % config.vocab_size
    try:
        hidden = clm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        split = head(clm, hidden)
    except (AttributeError, TypeError, RuntimeError):
        return False
    whole = clm.model(input_ids=ids, use_cache=False).logits.float()
    tolerance = 1e-5 if clm.dtype == torch.float32 else 1e-2
    close = split.shape == whole.shape
    return close and torch.allclose(split, whole, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def _score_batch(clm: Clm, targets: list[Target], sampler: Sampler) -> list[Scored]:
    ids = pad_right([t.ids for t in targets], clm.start_token, clm.device)
    rows = torch.cat([torch.full((t.last - t.first,), r) for r, t in enumerate(targets)])
    columns = torch.cat([torch.arange(t.first, t.last) for t in targets])
    rows, columns = rows.to(clm.device), columns.to(clm.device)
    truth = ids[rows, columns]
    given = ids[:, :-1]
    hidden = hidden_states(clm, given)
    if hidden is None:
        states = clm.model(input_ids=given, use_cache=False).logits[rows, columns - 1]
    else:
        states = hidden[rows, columns - 1]
    read = read_tokens(clm, states, truth, sampler, states_are_logits=hidden is None)
    return split_columns(read, [t.last - t.first for t in targets])


def split_columns(columns: list[torch.Tensor], sizes: list[int]) -> list[Scored]:
    """The columns that `read_tokens` gives for several targets, by target."""
    split = [column.split(sizes) for column in columns]
    return [Scored(*(tuple(part.tolist()) for part in parts)) for parts in zip(*split, strict=True)]


def read_tokens(
    clm: Clm,
    states: torch.Tensor,
    truth: torch.Tensor,
    sampler: Sampler,
    *,
    states_are_logits: bool,
) -> list[torch.Tensor]:
    """The columns of `Scored`, on the CPU, of n last hidden states, (n, width), or n logits."""
    vocabulary = clm.model.config.get_text_config(decoder=True).vocab_size
    rows = max(_FEWEST_ROWS, _SLICE // vocabulary)
    parts = [
        _read(part.float() if states_are_logits else head(clm, part), true, sampler)
        for part, true in zip(states.split(rows), truth.split(rows), strict=True)
    ]
    return [torch.cat(column).cpu() for column in zip(*parts, strict=True)]


def _read(logits: torch.Tensor, truth: torch.Tensor, sampler: Sampler) -> tuple[torch.Tensor, ...]:
    """The columns of `Scored`, of logits (n, vocabulary) in float32, which are overwritten."""
    true = truth.unsqueeze(-1)
    own = logits.gather(-1, true).squeeze(-1)
    best, greedy = logits.max(-1)
    logits.scatter_(-1, greedy.unsqueeze(-1), -math.inf)
    second, runners_up = logits.max(-1)
    logits.scatter_(-1, greedy.unsqueeze(-1), best.unsqueeze(-1))
    leads = best - second
    margins = torch.where(greedy == truth, leads, own - best)
    logits -= logits.logsumexp(-1, keepdim=True)
    log_probs = logits.gather(-1, true).squeeze(-1)
    sampled = (
        log_probs if sampler.is_plain else sampler.log_probs(logits).gather(-1, true).squeeze(-1)
    )
    chances = logits.exp()
    logits.clamp_(min=_NEVER)
    mean = (chances * logits).sum(-1)
    sd = logits.sub_(mean.unsqueeze(-1)).square_().mul_(chances).sum(-1).sqrt()
    z_scores = (log_probs - mean) / sd.clamp(min=_SMALLEST_SD)
    return greedy, runners_up, leads, margins, log_probs, sampled, z_scores
