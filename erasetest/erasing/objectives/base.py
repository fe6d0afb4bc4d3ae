"""The parts of every objective: tokens as the current and the original CLM predict them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from erasetest.erasing.token_statistics import compute_token_statistics


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the terms, per token; gamma, lambda and alpha of arXiv 2509.13755, section 5.

    The paper states alpha = 1 for a divergence that its code sums over the tokens of a text and
    divides by the number of texts. Per token, as here, the same weight is alpha = 511: the number
    of predicted tokens in a text of 512.
    """

    gamma: float = 0.1
    """Weight of the loss on the context of the secrets."""
    lam: float = 0.1
    """Weight of the divergence on the secrets (lambda)."""
    alpha: float = 511.0
    """Weight of the divergence on retained code, times `lam`."""
    beta: float = 0.1
    """Inverse temperature of NPO: a larger one stops earlier on a secret that became unlikely."""
    decoys: float = 2.0
    """Weight of the loss on decoys (delta)."""
    hold: float = 80.0
    """Weight of the divergences on context and retained code in `decoys` (eta); the paper's lambda
    times alpha is 51."""
    match: float = 2.0
    """Weight of the difference between the losses of a secret and its decoy (mu)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """n tokens of one group: secrets, their context, retained code or decoys; all tensors (n,).

    Every term below is a mean over tokens, so that no term grows with the batch, the length of a
    sample or the amount of padding.
    """

    log_probs: torch.Tensor
    """log p of the true token under the current CLM, in nats."""
    original: torch.Tensor
    """log q of the true token under the original CLM, in nats."""
    divergences: torch.Tensor
    """`KL(original || current)` over the vocabulary, in nats."""
    predicted: torch.Tensor
    """Whether the true token is the argmax of the current CLM."""
    known: torch.Tensor
    """Whether the true token is the argmax of the original CLM."""
    secret_ids: torch.Tensor | None = None
    """The number of the secret that each token belongs to; None for context and retained code."""

    @classmethod
    def of(
        cls,
        current: torch.Tensor,
        original: torch.Tensor | None,
        truth: torch.Tensor,
        secret_ids: torch.Tensor | None = None,
    ) -> Tokens:
        """Compute the tokens from logits, which are overwritten.

        Args:
            current: logits (n, vocabulary) of the current CLM.
            original: the same of the original CLM; None makes all divergences 0.
            truth: ids of the true tokens (n,).
            secret_ids: the number of each token's secret (n,).
        """
        found = compute_token_statistics(current, original, truth)
        return cls(
            found.log_probs,
            found.original,
            found.divergences,
            found.predicted,
            found.known,
            secret_ids,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Tokens]) -> Tokens:
        """Concatenate parts without secret ids."""
        columns = ("log_probs", "original", "divergences", "predicted", "known")
        return cls(*(torch.cat([getattr(part, column) for part in parts]) for column in columns))

    def __len__(self) -> int:
        return len(self.log_probs)

    def where(self, mask: torch.Tensor | slice) -> Tokens:
        """Return the tokens at which a mask (n,) is true."""
        secret_ids = None if self.secret_ids is None else self.secret_ids[mask]
        return Tokens(
            self.log_probs[mask],
            self.original[mask],
            self.divergences[mask],
            self.predicted[mask],
            self.known[mask],
            secret_ids,
        )

    def losses(self) -> dict[int, torch.Tensor]:
        """Return the mean cross-entropy of each secret's tokens, in nats per token, by number."""
        if self.secret_ids is None or not len(self):
            return {}
        return {
            int(n): -self.log_probs[self.secret_ids == n].mean() for n in self.secret_ids.unique()
        }

    @torch.no_grad()
    def more_likely_than(self, decoys: Tokens) -> dict[int, bool]:
        """Return whether each secret with a decoy has a lower mean loss than the decoy."""
        own, others = self.losses(), decoys.losses()
        return {n: bool(own[n] < others[n]) for n in own if n in others}

    def loss(self) -> torch.Tensor:
        """Return the mean cross-entropy, in nats per token; 0 for no tokens."""
        return -self.log_probs.mean() if len(self) else self.log_probs.sum()

    def divergence(self) -> torch.Tensor:
        """Return the mean `KL(original || current)`, in nats per token; 0 for no tokens."""
        return self.divergences.mean() if len(self) else self.divergences.sum()


@dataclass(frozen=True, slots=True)
class Groups:
    """The tokens of a step, by their role in the objective."""

    secret: Tokens
    """Tokens of the active secrets."""
    context: Tokens
    """Tokens of the same samples that belong to no secret."""
    retained: Tokens
    """Tokens of retained code."""
    decoys: Tokens
    """Tokens of decoys: fresh random strings of the secrets' formats, in their places. Their
    original log probabilities are not computed."""


Objective = Callable[[Groups, Weights], torch.Tensor]
"""Computes the loss of a step from its tokens."""


@dataclass(frozen=True, slots=True)
class Method:
    """An objective, and the settings that belong to it."""

    loss: Objective
    uses_decoys: bool = False
    """Whether steps have decoys, and secrets are ranked among decoys before the full probe."""
    lr_factor: float = 1.0
    """Multiple of the learning rate that the CLM's width sets: objectives that constrain the rest
    of the CLM better can use a higher one."""
    adapter_lr_factor: float = 10.0
    """The same for an adapter, whose weights start at zero."""
    min_lr_share: float = 1.0
    """Smallest share of the learning rate when few secrets of a batch are active: the rate is
    proportional to the square root of their share."""
    retained_factor: int = 1
    """Number of retained texts per step, as a multiple of the maximum batch of forget examples."""
    appends_eos: bool = False
    """Whether the EOS prediction after each text is part of its context."""
    distills: bool = False
    """Whether the suppressed CLM is noised and distilled (UNDO)."""
