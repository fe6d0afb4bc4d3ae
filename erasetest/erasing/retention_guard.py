"""The retention guard: a limit on the loss of next-token accuracy on retained code."""

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

_WINDOW = 4
"""Steps whose mean drop triggers an evaluation: the retained batch of one step is small."""

_MAX_EVALUATED = 256
"""Maximum number of retained texts in an evaluation."""


class RetentionGuard:
    """Compares the next-token accuracy on retained code with the original CLM's."""

    def __init__(
        self,
        runner: StepRunner,
        retained: Sequence[TokenizedExample],
        max_drop: float | None,
        seed: int,
    ) -> None:
        """Guard the accuracy on retained examples.

        Args:
            runner: computes the forward passes.
            retained: the retained set; a sample of it is evaluated.
            max_drop: the largest allowed drop of accuracy (fraction); None allows any.
            seed: of the sample.
        """
        self.runner, self.max_drop = runner, max_drop
        count = min(_MAX_EVALUATED, len(retained))
        self.examples = random.Random(seed).sample(list(retained), count)
        self._recent_drops: deque[float] = deque(maxlen=_WINDOW)

    def exceeds_limit(self, drop: float) -> bool:
        """Return whether a drop of accuracy is above the limit."""
        return self.max_drop is not None and drop > self.max_drop

    @torch.no_grad()
    def accuracy_drop(self) -> float:
        """Return the drop in accuracy (fraction) of the model as it would be stored."""
        lost = count = 0
        with self.runner.trainable.as_stored():
            for start in range(0, len(self.examples), BATCH):
                batch = self.examples[start : start + BATCH]
                retained = self.runner.forward(retained=batch).retained
                lost += int(retained.known.sum()) - int(retained.predicted.sum())
                count += len(retained)
        return lost / max(1, count)

    def observe(self, retained: Tokens) -> float:
        """Record the retained tokens of a step, and return the drop in accuracy on them."""
        known, predicted = retained.known.float(), retained.predicted.float()
        self._recent_drops.append(float((known - predicted).mean()))
        return self._recent_drops[-1]

    def is_exceeded(self) -> bool:
        """Return whether the drop is above the limit; evaluates only if recent steps suggest it."""
        if len(self._recent_drops) < _WINDOW:
            return False
        if not self.exceeds_limit(statistics.fmean(self._recent_drops)):
            return False
        self._recent_drops.clear()
        return self.exceeds_limit(self.accuracy_drop())

    def state_dict(self) -> list[float]:
        """Return the drops of recent steps."""
        return list(self._recent_drops)

    def load_state_dict(self, state: Iterable[float]) -> None:
        """Restore the drops of recent steps."""
        self._recent_drops.extend(state)
