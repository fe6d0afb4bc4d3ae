"""What every objective is made of: tokens, as the CLM sees them now and saw them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from erasetest.erasing.token_statistics import compare


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of the terms, with the paper's values ("Scrub It Out!", section 5), per token.

    The paper states alpha = 1 of a divergence that its code sums over the tokens of a text and
    divides by the number of texts. Per token, as here, the same weight is alpha = 511: the tokens
    predicted in a text of 512.
    """

    gamma: float = 0.1
    """Of the loss on the context of the secrets."""
    lam: float = 0.1
    """Of the divergence on the secrets."""
    alpha: float = 511.0
    """Of the divergence on retained code, times `lam`."""
    beta: float = 0.1
    """Of NPO: how soon a secret that became less likely is left alone."""
    decoys: float = 2.0
    """Of the loss on decoys."""
    hold: float = 80.0
    """Of the divergences on context and retained code beside decoys, where lambda alpha is 51."""
    match: float = 2.0
    """Of the distance between the loss of a secret and that of its decoy."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """n tokens of one group: secrets, their context, retained code or decoys; all tensors (n,).

    Every term below is a mean over tokens, so that no term grows with the batch, the length of a
    sample or the amount of padding.
    """

    log_probs: torch.Tensor
    """log p of the token that stands there."""
    original: torch.Tensor
    """The same of the original CLM."""
    divergences: torch.Tensor
    """`KL(original || current)` over the vocabulary, in nats."""
    predicted: torch.Tensor
    """Whether the token that stands there is the most likely one."""
    known: torch.Tensor
    """The same of the original CLM."""
    secret_ids: torch.Tensor | None = None
    """The number of the secret that each token belongs to; for secrets and decoys alone."""

    @classmethod
    def of(
        cls,
        current: torch.Tensor,
        original: torch.Tensor | None,
        truth: torch.Tensor,
        secret_ids: torch.Tensor | None = None,
    ) -> Tokens:
        """From logits (n, vocabulary) of the CLM as it is and as it was; overwrites both.

        Without an original nothing diverges.
        """
        found = compare(current, original, truth)
        return cls(
            found.log_probs,
            found.original,
            found.divergences,
            found.predicted,
            found.known,
            secret_ids,
        )

    @classmethod
    def joined(cls, parts: Sequence[Tokens]) -> Tokens:
        """Parts one behind the other, of which none has owners yet."""
        columns = ("log_probs", "original", "divergences", "predicted", "known")
        return cls(*(torch.cat([getattr(part, column) for part in parts]) for column in columns))

    def __len__(self) -> int:
        return len(self.log_probs)

    def where(self, mask: torch.Tensor | slice) -> Tokens:
        """The tokens at which a mask (n,) is true."""
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
        """The mean cross-entropy of each secret's tokens, by its number."""
        if self.secret_ids is None or not len(self):
            return {}
        return {
            int(n): -self.log_probs[self.secret_ids == n].mean() for n in self.secret_ids.unique()
        }

    @torch.no_grad()
    def likelier(self, decoys: Tokens) -> dict[int, bool]:
        """Whether each secret is likelier a token than its decoy, where it has one, by number."""
        own, others = self.losses(), decoys.losses()
        return {n: bool(own[n] < others[n]) for n in own if n in others}

    def loss(self) -> torch.Tensor:
        """Mean cross-entropy, in nats a token; 0 for no tokens."""
        return -self.log_probs.mean() if len(self) else self.log_probs.sum()

    def divergence(self) -> torch.Tensor:
        """Mean `KL(original || current)`, in nats a token; 0 for no tokens."""
        return self.divergences.mean() if len(self) else self.divergences.sum()


@dataclass(frozen=True, slots=True)
class Groups:
    """The tokens of a step.

    Those of the secrets to erase, of the code around them, of retained code, and of decoys: fresh
    random strings of the secrets' formats in their places, of which no original is known.
    """

    secret: Tokens
    context: Tokens
    retained: Tokens
    decoys: Tokens


Objective = Callable[[Groups, Weights], torch.Tensor]
"""From the tokens of a step to a loss."""


@dataclass(frozen=True, slots=True)
class Method:
    """A loss, and what goes with it."""

    loss: Objective
    decoys: bool = False
    rate: float = 1.0
    """Times the learning rate that the CLM's width sets: what is held better can go faster."""
    adapter_rate: float = 10.0
    """The same for an adapter, which begins at zero."""
    slowest: float = 1.0
    """Share of the rate that is left, at least, when few secrets of a step are still to be erased:
    the rate falls with the root of their share."""
    retained: int = 1
    """Retained texts of a step, for each sample that a batch may hold."""
    ends: bool = False
    """Whether what the CLM says after the end of a text is held as the rest of it is."""
    heals: bool = False
    """Whether, once all is suppressed, the CLM is taken apart and healed (`lasting`)."""
