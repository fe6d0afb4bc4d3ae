"""What every objective is made of: tokens, as the CLM sees them now and saw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


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
    decoys: float = 1.0
    """Of the loss on decoys."""
    match: float = 1.0
    """Of the distance between the loss of a secret and that of its decoy."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """n tokens of one group: secrets, their context, or retained code.

    `current` and `original` are log-probabilities of shape (n, vocabulary); `truth` (n,) the tokens
    that stand there. Every term below is a mean over tokens, so that no term grows with the batch,
    the length of a sample or the amount of padding.
    """

    current: torch.Tensor
    original: torch.Tensor
    truth: torch.Tensor
    owners: torch.Tensor | None = None
    """The number of the secret that each token belongs to, (n,); for secrets alone."""

    def where(self, mask: torch.Tensor) -> Tokens:
        """The tokens at which a mask (n,) is true."""
        owners = None if self.owners is None else self.owners[mask]
        return Tokens(self.current[mask], self.original[mask], self.truth[mask], owners)

    def losses(self) -> dict[int, torch.Tensor]:
        """The mean cross-entropy of each secret's tokens, by its number."""
        if self.owners is None or not len(self.truth):
            return {}
        each = torch.nn.functional.nll_loss(self.current, self.truth, reduction="none")
        return {int(n): each[self.owners == n].mean() for n in self.owners.unique()}

    def predicted(self) -> torch.Tensor:
        """Mask (n,): where the most likely token is the true one."""
        return self.current.argmax(-1) == self.truth

    def loss(self) -> torch.Tensor:
        """Mean cross-entropy, in nats a token; 0 for no tokens."""
        if not len(self.truth):
            return self.current.new_zeros(())
        return torch.nn.functional.nll_loss(self.current, self.truth)

    def divergence(self) -> torch.Tensor:
        """Mean `KL(original || current)`, in nats a token; 0 for no tokens."""
        if not len(self.truth):
            return self.current.new_zeros(())
        return torch.nn.functional.kl_div(
            self.current, self.original, log_target=True, reduction="sum"
        ) / len(self.truth)


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
    """A loss, and whether it reads decoys."""

    loss: Objective
    decoys: bool = False
