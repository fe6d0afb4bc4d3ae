"""Teacher-forced scoring: what the CLM would have said at each token of a text, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from erasetest.clm.load import Clm


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
    """For each target token: the CLM's most likely token, and the log-probability of the true one.

    Natural logarithms.
    """

    greedy: tuple[int, ...]
    log_probs: tuple[float, ...]


def score(
    clm: Clm, targets: Sequence[Target], progress: Callable[[int], None] | None = None
) -> list[Scored]:
    """Score every target; results in the order given.

    Rows are padded on the right, where a causal model cannot look, and batched by length under the
    CLM's token budget; only the rows needed go through the output head.
    """
    results: list[Scored | None] = [None] * len(targets)
    for batch in batches([len(t.ids) for t in targets], clm.batch_tokens):
        for index, scored in zip(
            batch, _score_batch(clm, [targets[i] for i in batch]), strict=True
        ):
            results[index] = scored
        if progress is not None:
            progress(len(batch))
    return [scored for scored in results if scored is not None]


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of like length; rows x longest row stays within `budget` tokens."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def like_lengths(lengths: Sequence[int], slack: float = 1.25) -> list[list[int]]:
    """Indices in groups of like length: the longest is at most `slack` times the shortest."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if not groups or lengths[index] > slack * lengths[groups[-1][0]]:
            groups.append([])
        groups[-1].append(index)
    return groups


def pad_right(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> torch.Tensor:
    """Rows as one tensor of shape (rows, longest row)."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)


def hidden_states(clm: Clm, ids: torch.Tensor) -> torch.Tensor | None:
    """Last hidden states (batch, length, width), or None where the head is more than a matrix.

    Whether the output head applied to them gives the CLM's own logits is tried once for each CLM.
    """
    if "head" not in clm.checked:
        clm.checked["head"] = _head_is_separate(clm)
    if not clm.checked["head"]:
        return None
    hidden: torch.Tensor = clm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return hidden


def head(clm: Clm, hidden: torch.Tensor) -> torch.Tensor:
    """Logits in float32, of shape (rows, vocabulary), of hidden states (rows, width)."""
    logits: torch.Tensor = clm.model.get_output_embeddings()(hidden)
    return logits.float()


@torch.no_grad()
def _head_is_separate(clm: Clm) -> bool:
    if clm.model.base_model is clm.model or clm.model.get_output_embeddings() is None:
        return False
    ids = torch.arange(8, device=clm.device).unsqueeze(0) % clm.model.config.vocab_size
    try:
        hidden = clm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        split = head(clm, hidden)
    except (AttributeError, TypeError, RuntimeError):
        return False
    whole = clm.model(input_ids=ids, use_cache=False).logits.float()
    return split.shape == whole.shape and torch.allclose(split, whole, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def _score_batch(clm: Clm, targets: list[Target]) -> list[Scored]:
    ids = pad_right([t.ids for t in targets], clm.start_token, clm.device)
    rows = torch.cat([torch.full((t.last - t.first,), r) for r, t in enumerate(targets)])
    columns = torch.cat([torch.arange(t.first, t.last) for t in targets])
    rows, columns = rows.to(clm.device), columns.to(clm.device)
    hidden = hidden_states(clm, ids)
    if hidden is None:
        logits = clm.model(input_ids=ids, use_cache=False).logits[rows, columns - 1].float()
        greedy, log_probs = _read(logits, ids[rows, columns])
    else:
        # By slices: never rows x vocabulary for more rows than a batch has tokens at most.
        parts = [
            _read(head(clm, hidden[r, c - 1]), ids[r, c])
            for r, c in zip(rows.split(2048), columns.split(2048), strict=True)
        ]
        greedy = torch.cat([part[0] for part in parts])
        log_probs = torch.cat([part[1] for part in parts])
    sizes = [t.last - t.first for t in targets]
    return [
        Scored(tuple(g.tolist()), tuple(p.tolist()))
        for g, p in zip(greedy.cpu().split(sizes), log_probs.cpu().split(sizes), strict=True)
    ]


def _read(logits: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    log_probs = logits.log_softmax(-1).gather(-1, truth.unsqueeze(-1)).squeeze(-1)
    return logits.argmax(-1), log_probs
