"""One forward pass of the trained CLM over all rows of a step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from erasetest.clm.batching import group_by_length, pad_right
from erasetest.clm.load import Clm
from erasetest.clm.teacher_forcing import head, hidden_states
from erasetest.erasing.examples import CONTEXT, IGNORED, SecretIds, TokenizedExample
from erasetest.erasing.objectives import Groups, Tokens
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.trainable import TrainableModel

_SLICE = 1 << 26
"""Logits whose graph is kept: rows x vocabulary (256 MiB in float32)."""

_FEWEST_ROWS = 64


@dataclass(frozen=True, slots=True)
class StepOutput:
    """The tokens of a step, and the secrets that each token of the samples belongs to."""

    samples: Tokens
    secret_ids: list[SecretIds]
    retained: Tokens
    decoys: Tokens
    replay: Callable[[], None]
    """Carries gradients on from the last hidden states to the parameters, where they stop there."""

    def is_finite(self) -> bool:
        """Whether the CLM still gives numbers for what stands there."""
        return all(bool(t.loss().isfinite()) for t in (self.samples, self.retained, self.decoys))

    def groups(self, active: frozenset[int]) -> Groups:
        """With the secrets that are still to be erased."""
        device = self.samples.log_probs.device
        number = torch.tensor([min(o & active, default=-1) for o in self.secret_ids], device=device)
        context = torch.tensor([o == CONTEXT for o in self.secret_ids], device=device)
        return Groups(
            replace(self.samples, secret_ids=number).where(number >= 0),
            self.samples.where(context),
            self.retained,
            self.decoys,
        )

    def accuracies(self) -> dict[int, float]:
        """The MA of each secret of the samples."""
        hits: dict[int, list[bool]] = {}
        for secret_ids, hit in zip(self.secret_ids, self.samples.predicted.tolist(), strict=True):
            for secret in secret_ids - IGNORED:
                hits.setdefault(secret, []).append(hit)
        return {secret: sum(found) / len(found) for secret, found in hits.items()}

    def likelier(self) -> dict[int, bool]:
        """Whether each secret is likelier than its decoy; of those that have one."""
        every = frozenset(
            secret for secret_ids in self.secret_ids for secret in secret_ids - IGNORED
        )
        return self.groups(every).secret.likelier(self.decoys)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a loss of these tokens to those of the trained parameters."""
        loss.backward()
        self.replay()


def read_step(
    clm: Clm,
    reference: ReferenceModel,
    trained: TrainableModel,
    forget: Sequence[TokenizedExample],
    retain: Sequence[TokenizedExample],
    decoys: Sequence[TokenizedExample],
    limit: int | None = None,
) -> StepOutput:
    """Read the rows of a step with gradients; of decoys, the secret's tokens alone are needed.

    With a `limit`, rows are read in parts of that many tokens, padding included: first without
    gradients, and again part by part once the gradient of their last hidden states is known. That
    is one forward pass more, and the same gradient: the loss need not be a sum over parts.
    """
    kept = [*forget, *retain]
    rows = [*kept, *decoys]
    places = [torch.arange(len(row.ids) - 1) for row in kept]
    places += [
        torch.tensor([i for i, secret_ids in enumerate(row.secret_ids[1:]) if secret_ids])
        for row in decoys
    ]
    reading = _ForwardPass(clm, trained, rows, places, _parts(clm, rows, limit))
    replay: Callable[[], None] = _nothing
    if limit is None or len(reading.parts) == 1:
        states = reading.states()
    else:
        with torch.no_grad():
            states = reading.states()
        states.requires_grad_(True)
        replay = partial(reading.replay, states)
    truth = torch.cat([torch.tensor(row.ids)[at + 1] for row, at in zip(rows, places, strict=True)])
    truth = truth.to(clm.device)
    groups = places[: len(forget)], places[len(forget) : len(kept)], places[len(kept) :]
    n, m = (sum(map(len, group)) for group in groups[:2])
    before = reference.states(kept, places[: len(kept)])
    known = _tokens(clm, reference, trained, states[: n + m], before, truth[: n + m])
    others = _tokens(clm, reference, trained, states[n + m :], None, truth[n + m :])
    # Of several in an overlap, a decoy's token stands for the first.
    secret_ids = [min(o) for row in decoys for o in row.secret_ids[1:] if o]
    return StepOutput(
        known.where(slice(n)),
        [secret_ids for row in forget for secret_ids in row.secret_ids[1:]],
        known.where(slice(n, n + m)),
        replace(others, secret_ids=torch.tensor(secret_ids, dtype=torch.long, device=clm.device)),
        replay,
    )


def _nothing() -> None:
    """Where the graph of a step reaches the parameters by itself."""


def _tokens(
    clm: Clm,
    reference: ReferenceModel,
    trained: TrainableModel,
    states: torch.Tensor,
    before: torch.Tensor | None,
    truth: torch.Tensor,
) -> Tokens:
    """Through the output heads; in slices that are computed again where logits would be many."""

    def read(now: torch.Tensor, then: torch.Tensor | None, true: torch.Tensor) -> Tokens:
        with trained.computing():
            current = head(clm, now)
        return Tokens.of(current, None if then is None else reference.logits(then), true)

    vocabulary = clm.model.config.get_text_config(decoder=True).vocab_size
    size = max(_FEWEST_ROWS, _SLICE // vocabulary)
    if len(truth) <= size:
        return read(states, before, truth)
    old = before.split(size) if before is not None else itertools.repeat(None)
    parts: list[Tokens] = [
        checkpoint(read, *part, use_reentrant=False)
        for part in zip(states.split(size), old, truth.split(size), strict=False)
    ]
    return Tokens.joined(parts)


def _parts(clm: Clm, rows: Sequence[TokenizedExample], limit: int | None) -> list[list[int]]:
    """Indices of rows of like length that are read together."""
    groups = group_by_length([len(row.ids) for row in rows], turn=clm.longrope_boundary)
    if limit is None:
        return groups
    parts: list[list[int]] = []
    for group in groups:
        # The last of a group is its longest.
        size = max(1, limit // len(rows[group[-1]].ids))
        parts += [group[i : i + size] for i in range(0, len(group), size)]
    return parts


@dataclass(frozen=True, slots=True)
class _ForwardPass:
    """Rows, the places in them whose hidden states are needed, and which are read together."""

    clm: Clm
    trained: TrainableModel
    rows: Sequence[TokenizedExample]
    places: Sequence[torch.Tensor]
    parts: Sequence[Sequence[int]]

    def states(self) -> torch.Tensor:
        """Last hidden states (n, width) at the places, in the order of the rows."""
        found: dict[int, torch.Tensor] = {}
        for part in self.parts:
            for i, states in zip(part, self._hidden(part), strict=True):
                found[i] = states[self.places[i].to(self.clm.device)]
        return torch.cat([found[i] for i in range(len(self.rows))])

    def replay(self, states: torch.Tensor) -> None:
        """Carry the gradient of the last hidden states on to the parameters, part by part."""
        assert states.grad is not None
        gradients = states.grad.split([len(at) for at in self.places])
        for part in self.parts:
            hidden = self._hidden(part)
            wanted = torch.zeros_like(hidden)
            for row, i in zip(wanted, part, strict=True):
                row[self.places[i].to(self.clm.device)] = gradients[i].to(wanted.dtype)
            hidden.backward(wanted)

    def _hidden(self, part: Sequence[int]) -> torch.Tensor:
        ids = pad_right([self.rows[i].ids for i in part], self.clm.start_token, self.clm.device)
        with self.trained.stepping(), self.trained.computing():
            hidden = hidden_states(self.clm, ids)
        assert hidden is not None
        return hidden
