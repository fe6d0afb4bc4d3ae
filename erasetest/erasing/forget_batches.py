"""Sampling of the forget examples of each step."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from erasetest.erasing.examples import TokenizedExample
from erasetest.erasing.step_runner import StepRunner
from erasetest.erasing.stopping import StopRule

_MIN_INTERVAL = 4
"""Minimum number of steps between two evaluations of all remaining examples."""


class ForgetBatchSampler:
    """Samples the forget examples of a step: those with active secrets first."""

    def __init__(
        self,
        runner: StepRunner,
        examples: Sequence[TokenizedExample],
        rule: StopRule,
        batch: int,
        rng: random.Random,
    ) -> None:
        """Sample from the forget set.

        Args:
            runner: computes the forward passes of evaluations.
            examples: the forget set.
            rule: decides which secrets are active.
            batch: maximum number of examples per step.
            rng: shuffles the examples.
        """
        self.runner, self.rule, self.batch, self.rng = runner, rule, batch, rng
        self.examples = [(example, example.secrets) for example in examples]
        self.last_evaluation = 0
        """The step before which all remaining examples were last evaluated."""

    def next(self, step: int) -> list[TokenizedExample]:
        """Return the batch of a step: examples with active secrets, filled up with others.

        The others are not trained to forget their secrets; their MA is observed in case it rises,
        and their context is part of the loss: preserved, or unlearned by methods whose ascent is on
        whole samples.
        """
        self._evaluate_if_due(step)
        active = self.rule.active
        remaining = [example for example, secrets in self.examples if secrets & active]
        others = [example for example, secrets in self.examples if not secrets & active]
        self.rng.shuffle(remaining)
        self.rng.shuffle(others)
        return [*remaining, *others][: self.batch]

    @torch.no_grad()
    def _evaluate_if_due(self, step: int) -> None:
        """Evaluate the MA of all remaining examples every few steps, if one batch cannot hold them.

        Many are erased along with others before they are sampled; without this, most steps would be
        spent on them.
        """
        active = self.rule.active
        remaining = [example for example, secrets in self.examples if secrets & active]
        # Evaluating n examples takes n / batch forward passes: at this interval, two per step.
        interval = max(_MIN_INTERVAL, len(remaining) // (2 * self.batch))
        if step - self.last_evaluation < interval or len(remaining) <= self.batch:
            return
        self.last_evaluation = step
        for start in range(0, len(remaining), self.batch):
            output = self.runner.forward(remaining[start : start + self.batch])
            self.rule.observe_accuracy(output.accuracies())
