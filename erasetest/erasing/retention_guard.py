"""The guard: whether retained code is predicted worse than is allowed."""

from __future__ import annotations

import random
import statistics
from collections import deque
from collections.abc import Iterable, Sequence

import torch

from erasetest.erasing.erasure_settings import BATCH
from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.objectives import Tokens
from erasetest.erasing.step_runner import StepRunner

_GUARDED_STEPS = 4
"""Steps whose mean calls for a look at the retained code: a step's draw of it is small."""

_LOOKED_AT = 256
"""Retained texts of such a look, at most."""


class RetentionGuard:
    """Compares the share of retained tokens that are predicted with the original CLM's."""

    def __init__(
        self,
        reader: StepRunner,
        kept: Sequence[TokenizedExample],
        allowed: float | None,
        seed: int,
    ) -> None:
        """Of the rows of retained code; `allowed` is how far the share may fall, None any."""
        self.reader, self.allowed = reader, allowed
        self.rows = random.Random(seed).sample(list(kept), min(_LOOKED_AT, len(kept)))
        self._falls: deque[float] = deque(maxlen=_GUARDED_STEPS)

    def forbids(self, fall: float) -> bool:
        """Whether the share may not fall so far."""
        return self.allowed is not None and fall > self.allowed

    @torch.no_grad()
    def fall(self) -> float:
        """By how much a smaller share of retained tokens is predicted than before, as stored."""
        lost = count = 0
        with self.reader.trained.as_stored():
            for start in range(0, len(self.rows), BATCH):
                retained = self.reader.read(retain=self.rows[start : start + BATCH]).retained
                lost += int(retained.known.sum()) - int(retained.predicted.sum())
                count += len(retained)
        return lost / max(1, count)

    def observe(self, retained: Tokens) -> float:
        """Take note of the retained code that a step drew, and tell the fall there."""
        known, predicted = retained.known.float(), retained.predicted.float()
        self._falls.append(float((known - predicted).mean()))
        return self._falls[-1]

    def is_alarmed(self) -> bool:
        """Whether steps' draws call for a look that finds too far a fall."""
        if len(self._falls) < _GUARDED_STEPS or not self.forbids(statistics.fmean(self._falls)):
            return False
        self._falls.clear()
        return self.forbids(self.fall())

    def state(self) -> list[float]:
        """All that its next alarm depends on beside the CLM."""
        return list(self._falls)

    def load_state_dict(self, state: Iterable[float]) -> None:
        """Go on from a state."""
        self._falls.extend(state)
