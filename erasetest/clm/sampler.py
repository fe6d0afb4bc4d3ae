"""Sampling distribution of tokens: temperature, then top-k, then top-p."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from erasetest.errors import BadInput

_MIN_TEMPERATURE = 1e-3
"""Smallest temperature apart from 0: logits divided by smaller ones can overflow float32."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """Sampling parameters, applied in the order and with the ties of transformers' `generate`.

    The logits are divided by `temperature`. Then the `top_k` largest are kept, with all that equal
    the last of them. Then the smallest set of most likely tokens is kept whose probabilities sum to
    `top_p`. Temperature 0 is greedy decoding.

    Raises:
        BadInput: a value is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if self.temperature != 0 and not _MIN_TEMPERATURE <= self.temperature < math.inf:
            raise BadInput(
                f"the temperature must be 0, or {_MIN_TEMPERATURE:g} or more, "
                f"got {self.temperature:g}"
            )
        if self.top_k is not None and self.top_k < 1:
            raise BadInput(f"top-k must be 1 or more, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise BadInput(f"top-p must be above 0 and at most 1, got {self.top_p:g}")

    @property
    def is_plain(self) -> bool:
        """Whether samples are drawn from the unchanged distribution of the CLM."""
        return self.temperature == 1 and self.top_k is None and self.top_p in (None, 1)

    def as_dict(self) -> dict[str, Any]:
        """Return the form for files."""
        return {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}

    def log_probs(self, logits: torch.Tensor) -> torch.Tensor:
        """Return natural log-probabilities (rows, vocabulary) of logits of that shape in float32.

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
    """Return uniform random numbers (draws, tokens) in [0, 1), for draws from number `first` on.

    A row depends on the seed and its number alone, so neither batches nor earlier draws change it.
    """
    rows = [
        np.random.Generator(np.random.Philox(key=[seed, row])).random(tokens, dtype=np.float32)
        for row in range(first, first + draws)
    ]
    return np.stack(rows)


def drawing(
    numbers: np.ndarray, temperature: float, top_p: float
) -> Callable[[torch.Tensor, list[int], int], torch.Tensor]:
    """Return a function for `continuations` that samples with temperature and nucleus (top-p).

    It uses inverse transform sampling of uniform numbers that belong to a job, so that a sample
    does not depend on its batch.

    Args:
        numbers: uniform random numbers (jobs, tokens).
        temperature: above 0.
        top_p: probability of the nucleus.
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
