"""Teacher-forced scoring: the CLM's prediction of each token of a text, in one forward pass."""

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
    """Tokens `[first, last)` of `ids`, each to be predicted from all tokens before it.

    `first` is at least 1; `ids` ends at `last` and fits the CLM's window.
    """

    ids: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True, repr=False)
class Scored:
    """Scores of n target tokens; all columns have length n, logarithms are natural.

    Attributes:
        greedy: the most likely token.
        runners_up: the second most likely token.
        leads: logit of the most likely token minus that of the second.
        margins: logit of the true token minus that of the most likely other token. Positive if the
            true token is the most likely one.
        log_probs: log-probability of the true token.
        sampled: log-probability of the true token under the sampler.
        z_scores: `(log p - mean) / sd` of the true token, with mean and standard deviation of log p
            over the vocabulary under p (see `probes.min_k_plus_plus`); empty after a shared prefix,
            where nothing reads them.
    """

    greedy: tuple[int, ...]
    runners_up: tuple[int, ...]
    leads: tuple[float, ...]
    margins: tuple[float, ...]
    log_probs: tuple[float, ...]
    sampled: tuple[float, ...]
    z_scores: tuple[float, ...]

    def part(self, first: int, last: int) -> Scored:
        """Return the scores of tokens `[first, last)`, counted from the first scored token."""
        cut = slice(first, last)
        return Scored(*(getattr(self, column)[cut] for column in self.__slots__))

    @classmethod
    def joined(cls, parts: Sequence[Scored]) -> Scored:
        """Return the concatenation of parts."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(sum((getattr(p, column) for p in parts), ()) for column in cls.__slots__))


_MAX_LOGITS = 1 << 23
"""Maximum number of logits in memory at a time, rows x vocabulary: 32 MiB in float32."""

_MIN_ROWS = 64
"""Number of rows per slice even if the vocabulary is so large that they exceed `_MAX_LOGITS`."""

_MIN_SD = 1e-3
"""Lower limit of a standard deviation, in nats: that of a one-hot distribution is 0."""

_MIN_LOG_P = -1e4
"""Replaces log 0, which would give NaN when multiplied by the probability 0."""


def score(
    clm: Clm,
    targets: Sequence[Target],
    *,
    sampler: Sampler | None = None,
    with_z_scores: bool = True,
) -> list[Scored]:
    """Score targets; results are in their order.

    Rows are padded on the right, which a causal model does not attend to, and batched by length
    under the CLM's token budget. Only the target tokens go through the output head, in slices, so
    no tensor of batch x length x vocabulary is allocated. `with_z_scores` is as in `read_tokens`.
    """
    sampler = sampler or Sampler()
    parts = [part for target in targets for part in _split_at_longrope_boundary(clm, target)]
    results: list[Scored | None] = [None] * len(parts)
    # The last token of a row is predicted but not read.
    lengths = [len(part.ids) - 1 for part in parts]
    for batch, scored in in_batches(
        clm,
        lengths,
        lambda batch: _score_batch(clm, [parts[i] for i in batch], sampler, with_z_scores),
    ):
        for index, found in zip(batch, scored, strict=True):
            results[index] = found
    found_parts = iter(found for found in results if found is not None)
    return [
        Scored.joined([next(found_parts) for _ in _split_at_longrope_boundary(clm, target)])
        for target in targets
    ]


def _split_at_longrope_boundary(clm: Clm, target: Target) -> list[Target]:
    """Split a target so that each part is read with the frequencies that its tokens get alone.

    Reading a token behind the boundary changes the frequencies of the tokens before it too.
    """
    boundary = clm.longrope_boundary
    if boundary is None or not target.first <= boundary < target.last - 1:
        return [target]
    return [
        Target(target.ids[: boundary + 1], target.first, boundary + 1),
        Target(target.ids, boundary + 1, target.last),
    ]


def hidden_states(clm: Clm, ids: torch.Tensor) -> torch.Tensor | None:
    """Return the last hidden states (batch, length, width), or None without a separate head."""
    if not has_separate_head(clm):
        return None
    hidden: torch.Tensor = clm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return hidden


def has_separate_head(clm: Clm) -> bool:
    """Return whether the output head, applied to the last hidden states, gives the model's logits.

    Tried once per CLM: some models scale, cap or otherwise change the logits after the head.
    """
    if "head" not in clm.capabilities:
        clm.capabilities["head"] = _try_separate_head(clm)
    return clm.capabilities["head"]


def head(clm: Clm, hidden: torch.Tensor) -> torch.Tensor:
    """Return logits (rows, vocabulary) in float32 of hidden states (rows, width)."""
    logits: torch.Tensor = clm.model.get_output_embeddings()(hidden)
    return logits.float()


@torch.no_grad()
def _try_separate_head(clm: Clm) -> bool:
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
def _score_batch(
    clm: Clm, targets: list[Target], sampler: Sampler, with_z_scores: bool
) -> list[Scored]:
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
    read = read_tokens(
        clm,
        states,
        truth,
        sampler,
        states_are_logits=hidden is None,
        with_z_scores=with_z_scores,
    )
    return split_columns(read, [t.last - t.first for t in targets])


def split_columns(columns: list[torch.Tensor], sizes: list[int]) -> list[Scored]:
    """Split the columns that `read_tokens` returns for several targets by target."""
    split = [column.split(sizes if len(column) else [0] * len(sizes)) for column in columns]
    return [Scored(*(tuple(part.tolist()) for part in parts)) for parts in zip(*split, strict=True)]


def read_tokens(
    clm: Clm,
    states: torch.Tensor,
    truth: torch.Tensor,
    sampler: Sampler,
    *,
    states_are_logits: bool,
    with_z_scores: bool = True,
) -> list[torch.Tensor]:
    """Compute the columns of `Scored`, on the CPU.

    Args:
        clm: the CLM.
        states: last hidden states (n, width), or logits (n, vocabulary), before each target token.
        truth: the n target tokens.
        sampler: distribution of the column `sampled`.
        states_are_logits: whether `states` are logits.
        with_z_scores: whether to compute the last column, which takes as long as all others; it is
            empty if not.
    """
    vocabulary = clm.vocabulary
    rows = max(_MIN_ROWS, _MAX_LOGITS // vocabulary)
    # Made before the slices: on a CPU, small tensors that stay between large ones that are freed
    # keep the allocator from using their memory again.
    columns = [
        torch.empty(len(truth), dtype=dtype, device=truth.device)
        for dtype in (torch.long, torch.long, *(torch.float32,) * (4 + with_z_scores))
    ]
    for start in range(0, len(truth), rows):
        cut = slice(start, start + rows)
        logits = states[cut].float() if states_are_logits else head(clm, states[cut])
        scores = _scores_of(logits, truth[cut], sampler)
        if with_z_scores:
            scores.append(_z_scores(logits, scores[-2]))
        for column, values in zip(columns, scores, strict=True):
            column[cut] = values
    if not with_z_scores:
        columns.append(torch.empty(0))
    return [column.cpu() for column in columns]


def _scores_of(logits: torch.Tensor, truth: torch.Tensor, sampler: Sampler) -> list[torch.Tensor]:
    """Compute the columns of `Scored` but the last of logits (n, vocabulary) in float32.

    Log-probabilities overwrite the logits.
    """
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
    return [greedy, runners_up, leads, margins, log_probs, sampled]


def _z_scores(logits: torch.Tensor, log_probs: torch.Tensor) -> torch.Tensor:
    """Compute the column `z_scores` of log-probabilities (n, vocabulary), overwriting them."""
    probabilities = logits.exp()
    logits.clamp_(min=_MIN_LOG_P)
    mean = (probabilities * logits).sum(-1)
    sd = logits.sub_(mean.unsqueeze(-1)).square_().mul_(probabilities).sum(-1).sqrt()
    return (log_probs - mean) / sd.clamp(min=_MIN_SD)
