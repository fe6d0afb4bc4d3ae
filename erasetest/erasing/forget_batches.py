"""Which rows a step sees."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.step_runner import StepRunner
from erasetest.erasing.stopping import StopRule

_LOOK_EVERY = 4


class ForgetBatchSampler:
    """Draws the forget set's rows of a step by what the stop rule says is still to be erased."""

    def __init__(
        self,
        reader: StepRunner,
        rows: Sequence[TokenizedExample],
        rule: StopRule,
        batch: int,
        rng: random.Random,
    ) -> None:
        """Of the rows of a forget set, at most `batch` a step."""
        self.reader, self.rule, self.batch, self.rng = reader, rule, batch, rng
        self.rows = [(row, row.secrets) for row in rows]
        self.looked = 0
        """The step before which all that was left was looked at."""

    def next(self, number: int) -> list[TokenizedExample]:
        """The rows of a step: those with secrets still to erase, filled up with others.

        The secrets of the others have no ascent, but show when they rise, and their context is a
        part of the loss: it is kept, or ascended on by methods that ascend on whole samples.
        """
        self._look(number)
        active = self.rule.active
        first = [row for row, secrets in self.rows if secrets & active]
        rest = [row for row, secrets in self.rows if not secrets & active]
        self.rng.shuffle(first)
        self.rng.shuffle(rest)
        return [*first, *rest][: self.batch]

    @torch.no_grad()
    def _look(self, number: int) -> None:
        """Where a step holds a part of what is left alone, look at all of it now and then.

        Else most steps would go to secrets that were erased along with others since they were seen.
        """
        active = self.rule.active
        left = [row for row, secrets in self.rows if secrets & active]
        due = max(_LOOK_EVERY, len(left) // (2 * self.batch))
        if number - self.looked < due or len(left) <= self.batch:
            return
        self.looked = number
        for start in range(0, len(left), self.batch):
            self.rule.observe(self.reader.read(left[start : start + self.batch]).accuracies())
