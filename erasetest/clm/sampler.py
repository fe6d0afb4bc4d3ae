"""The distribution that tokens are drawn from: temperature, then top-k, then top-p."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from erasetest.errors import BadInput

_COLDEST = 1e-3
"""Colder, and logits divided by it leave float32; 0 is greedy decoding."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """How a CLM is sampled, in the order and with the cuts of transformers' `generate`.

    The logits are divided by `temperature`; then the `top_k` largest stay (all that tie with the
    last of them too); then the smallest set of the most likely tokens whose probabilities reach
    `top_p` in sum. Temperature 0 is greedy decoding.

    Raises:
        BadInput: a value is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if self.temperature != 0 and not _COLDEST <= self.temperature < math.inf:
            raise BadInput(
                f"the temperature must be 0, or {_COLDEST:g} or more, got {self.temperature:g}"
            )
        if self.top_k is not None and self.top_k < 1:
            raise BadInput(f"top-k must be 1 or more, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise BadInput(f"top-p must be above 0 and at most 1, got {self.top_p:g}")

    @property
    def is_plain(self) -> bool:
        """Whether it draws from the CLM's own distribution."""
        return self.temperature == 1 and self.top_k is None and self.top_p in (None, 1)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files."""
        return {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}

    def log_probs(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (rows, vocabulary), natural, of logits of that shape in float32.

        A token that is never drawn has -inf.
        """
        if self.temperature == 0:
            best = logits.argmax(-1, keepdim=True)
            return torch.full_like(logits, -math.inf).scatter_(-1, best, 0.0)
        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            last = logits.topk(self.top_k).values[:, -1:]
            logits = logits.masked_fill(logits < last, -math.inf)
        if self.top_p is not None and self.top_p < 1:
            ordered, tokens = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
            cut = ordered.cumsum(-1) - ordered >= self.top_p
            logits = logits.masked_fill(cut.gather(-1, tokens.argsort(-1)), -math.inf)
        return logits.log_softmax(-1)


def uniform_numbers(draws: int, tokens: int, seed: int, first: int = 0) -> np.ndarray:
    """Uniform numbers (draws, tokens), from row `first` on: a row hangs on its number alone."""
    rows = [
        np.random.Generator(np.random.Philox(key=[seed, row])).random(tokens, dtype=np.float32)
        for row in range(first, first + draws)
    ]
    return np.stack(rows)


def drawing(
    numbers: np.ndarray, temperature: float, top_p: float
) -> Callable[[torch.Tensor, list[int], int], torch.Tensor]:
    """How continuations choose a token: from the nucleus of the tempered distribution.

    By inverse transform of a job's own uniform numbers, so that the batch it falls into does not
    change what it is.
    """

    def choose(logits: torch.Tensor, jobs: list[int], step: int) -> torch.Tensor:
        ordered, tokens = (logits / temperature).softmax(-1).sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.masked_fill(before >= top_p, 0.0)
        cumulative = ordered.cumsum(-1)
        drawn = torch.from_numpy(numbers[jobs, step]).to(logits.device)
        at = torch.searchsorted(cumulative, (drawn * cumulative[:, -1]).unsqueeze(-1), right=True)
        return tokens.gather(-1, at.clamp(max=tokens.shape[-1] - 1)).squeeze(-1)

    return choose
