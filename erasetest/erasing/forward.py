"""The forward pass of a training step, over all its examples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from erasetest.clm.batching import group_by_length, pad_right
from erasetest.clm.model import Clm
from erasetest.clm.teacher_forcing import head, hidden_states
from erasetest.erasing.examples import CONTEXT, IGNORED, SecretIds, TokenizedExample
from erasetest.erasing.objectives import Groups, Tokens
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.trainable import TrainableModel

MAX_LOGITS = 1 << 26
"""Number of logits whose graph is kept at a time (256 MiB in float32)."""

MIN_TOKENS = 64
"""Minimum number of tokens per slice, however large the vocabulary."""


@dataclass(frozen=True, slots=True)
class StepOutput:
    """The tokens of a step, with the secrets that each token of the forget set belongs to."""

    forget: Tokens
    secret_ids: list[SecretIds]
    retained: Tokens
    decoys: Tokens
    replay: Callable[[], None]
    """Continues the backward pass from the last hidden states, if the graph ends there."""

    def is_finite(self) -> bool:
        """Return whether the losses of all groups are finite."""
        return all(bool(t.loss().isfinite()) for t in (self.forget, self.retained, self.decoys))

    def groups(self, active: frozenset[int]) -> Groups:
        """Return the groups of the objective, with the active secrets as the secrets."""
        device = self.forget.log_probs.device
        number = torch.tensor([min(o & active, default=-1) for o in self.secret_ids], device=device)
        context = torch.tensor([o == CONTEXT for o in self.secret_ids], device=device)
        return Groups(
            replace(self.forget, secret_ids=number).where(number >= 0),
            self.forget.where(context),
            self.retained,
            self.decoys,
        )

    def accuracies(self) -> dict[int, float]:
        """Return the MA of each secret of the forget set."""
        hits: dict[int, list[bool]] = {}
        for secret_ids, hit in zip(self.secret_ids, self.forget.predicted.tolist(), strict=True):
            for secret in secret_ids - IGNORED:
                hits.setdefault(secret, []).append(hit)
        return {secret: sum(found) / len(found) for secret, found in hits.items()}

    def more_likely_than_decoys(self) -> dict[int, bool]:
        """Return for each secret that has a decoy whether it is more likely than the decoy."""
        every = frozenset(
            secret for secret_ids in self.secret_ids for secret in secret_ids - IGNORED
        )
        return self.groups(every).secret.more_likely_than(self.decoys)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a loss of these tokens to those of the trained parameters."""
        loss.backward()
        self.replay()


def forward_step(
    clm: Clm,
    reference: ReferenceModel,
    trainable: TrainableModel,
    forget: Sequence[TokenizedExample],
    retained: Sequence[TokenizedExample],
    decoys: Sequence[TokenizedExample],
    max_tokens: int | None = None,
) -> StepOutput:
    """Compute the forward pass of a step, with gradients.

    With `max_tokens`, the examples are read in parts: first without gradients, and again part by
    part once the gradient of their last hidden states is known. This costs one more forward pass
    and gives the same gradient, and the loss need not be a sum over parts.

    Args:
        clm: the CLM that is trained.
        reference: the original CLM; forget and retained examples are in its cache.
        trainable: the same CLM as it is trained.
        forget: examples of the forget set.
        retained: examples of the retained set.
        decoys: examples with decoys, of which only the decoys' tokens are used.
        max_tokens: maximum number of tokens of a part, padding included; None reads all at once.
    """
    cached = [*forget, *retained]
    examples = [*cached, *decoys]
    positions = [torch.arange(len(example.ids) - 1) for example in cached]
    positions += [
        torch.tensor([i for i, secret_ids in enumerate(example.secret_ids[1:]) if secret_ids])
        for example in decoys
    ]
    passes = _ForwardPass(clm, trainable, examples, positions, _parts(clm, examples, max_tokens))
    replay: Callable[[], None] = _no_replay
    if max_tokens is None or len(passes.parts) == 1:
        states = passes.states()
    else:
        with torch.no_grad():
            states = passes.states()
        states.requires_grad_(True)
        replay = partial(passes.replay, states)
    truth = torch.cat(
        [torch.tensor(example.ids)[at + 1] for example, at in zip(examples, positions, strict=True)]
    )
    truth = truth.to(clm.device)
    # Tokens are in the order forget, retained, decoys: the first n, the next m, the rest.
    n = sum(map(len, positions[: len(forget)]))
    m = sum(map(len, positions[len(forget) : len(cached)]))
    original = reference.states(cached, positions[: len(cached)])
    compared = _tokens(clm, reference, trainable, states[: n + m], original, truth[: n + m])
    decoy_tokens = _tokens(clm, reference, trainable, states[n + m :], None, truth[n + m :])
    # A decoy's token in an overlap counts for the first of its secrets.
    decoy_ids = [min(ids) for example in decoys for ids in example.secret_ids[1:] if ids]
    return StepOutput(
        compared.where(slice(n)),
        [secret_ids for example in forget for secret_ids in example.secret_ids[1:]],
        compared.where(slice(n, n + m)),
        replace(
            decoy_tokens, secret_ids=torch.tensor(decoy_ids, dtype=torch.long, device=clm.device)
        ),
        replay,
    )


def _no_replay() -> None:
    """Do nothing: the graph of the step reaches the parameters already."""


def _tokens(
    clm: Clm,
    reference: ReferenceModel,
    trainable: TrainableModel,
    states: torch.Tensor,
    original: torch.Tensor | None,
    truth: torch.Tensor,
) -> Tokens:
    """Apply the output heads to hidden states (n, width), in checkpointed slices if n is large."""

    def compute(now: torch.Tensor, then: torch.Tensor | None, true: torch.Tensor) -> Tokens:
        with trainable.autocast():
            current = head(clm, now)
        return Tokens.of(current, None if then is None else reference.logits(then), true)

    vocabulary = clm.vocabulary
    size = max(MIN_TOKENS, MAX_LOGITS // vocabulary)
    if len(truth) <= size:
        return compute(states, original, truth)
    originals = original.split(size) if original is not None else itertools.repeat(None)
    parts: list[Tokens] = [
        checkpoint(compute, *part, use_reentrant=False)
        for part in zip(states.split(size), originals, truth.split(size), strict=False)
    ]
    return Tokens.concatenate(parts)


def _parts(
    clm: Clm, examples: Sequence[TokenizedExample], max_tokens: int | None
) -> list[list[int]]:
    """Group the indices of examples of similar length into batches."""
    groups = group_by_length([len(e.ids) for e in examples], boundary=clm.longrope_boundary)
    if max_tokens is None:
        return groups
    parts: list[list[int]] = []
    for group in groups:
        # Groups are sorted by length: the last is the longest, to which the others are padded.
        size = max(1, max_tokens // len(examples[group[-1]].ids))
        parts += [group[i : i + size] for i in range(0, len(group), size)]
    return parts


@dataclass(frozen=True, slots=True)
class _ForwardPass:
    """Examples, the positions whose hidden states are needed, and their batches."""

    clm: Clm
    trainable: TrainableModel
    examples: Sequence[TokenizedExample]
    positions: Sequence[torch.Tensor]
    parts: Sequence[Sequence[int]]

    def states(self) -> torch.Tensor:
        """Return last hidden states (n, width) at the positions, in the order of the examples."""
        found: dict[int, torch.Tensor] = {}
        for part in self.parts:
            for i, states in zip(part, self._hidden(part), strict=True):
                found[i] = states[self.positions[i].to(self.clm.device)]
        return torch.cat([found[i] for i in range(len(self.examples))])

    def replay(self, states: torch.Tensor) -> None:
        """Backpropagate the gradient of the last hidden states to the parameters, part by part."""
        assert states.grad is not None
        gradients = states.grad.split([len(at) for at in self.positions])
        for part in self.parts:
            hidden = self._hidden(part)
            gradient = torch.zeros_like(hidden)
            for row, i in zip(gradient, part, strict=True):
                row[self.positions[i].to(self.clm.device)] = gradients[i].to(gradient.dtype)
            hidden.backward(gradient)

    def _hidden(self, part: Sequence[int]) -> torch.Tensor:
        ids = [self.examples[i].ids for i in part]
        padded = pad_right(ids, self.clm.start_token, self.clm.device)
        with self.trainable.training_pass():
            hidden = hidden_states(self.clm, padded)
        assert hidden is not None
        return hidden
