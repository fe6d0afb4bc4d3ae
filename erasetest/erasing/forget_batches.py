"""Sampling of the forget examples of each step, and of the prompt of each."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from erasetest.erasing.examples import SecretIds, TokenizedExample
from erasetest.erasing.prompt_examples import ForgetGroup
from erasetest.erasing.step_runner import StepRunner
from erasetest.erasing.stopping import StopRule

_MIN_INTERVAL = 4
"""Minimum number of steps between two evaluations of all remaining examples."""


class ForgetBatchSampler:
    """Samples the forget examples of a step: those with active secrets first."""

    def __init__(
        self,
        runner: StepRunner,
        groups: Sequence[ForgetGroup],
        rule: StopRule,
        batch: int,
        rng: random.Random,
    ) -> None:
        """Sample from the forget set.

        Args:
            runner: computes the forward passes of evaluations.
            groups: the forget set.
            rule: decides which secrets are active.
            batch: maximum number of examples per step.
            rng: shuffles the groups.
        """
        self.runner, self.rule, self.batch, self.rng = runner, rule, batch, rng
        self.groups = [(group, group.secrets) for group in groups]
        self._prompts: dict[int, list[TokenizedExample]] = {}
        for group in groups:
            for example in group.examples:
                for secret in example.secrets:
                    self._prompts.setdefault(secret, []).append(example)
        self._seen: dict[int, list[float]] = {}
        """The MA of each secret after each of its prompts, once one was observed."""
        self._probes = 0
        """Number of full probes when they were first observed: another probe replaces them."""
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
        remaining = [group for group, secrets in self.groups if secrets & active]
        others = [group for group, secrets in self.groups if not secrets & active]
        self.rng.shuffle(remaining)
        self.rng.shuffle(others)
        chosen = [self._choose(group, active) for group in remaining]
        return [*chosen, *(group.longest for group in others)][: self.batch]

    def _choose(self, group: ForgetGroup, active: SecretIds) -> TokenizedExample:
        """Return the example whose active secrets are predicted best, as far as is known.

        Among equals, that of the whole text: it is the paper's.
        """
        worst: dict[TokenizedExample, float] = {}
        for secret in sorted(group.secrets & active):
            for example, accuracy in zip(self._prompts[secret], self._known(secret), strict=True):
                worst[example] = max(accuracy, worst.get(example, 0.0))
        return max(worst, key=lambda example: worst[example])

    def observe(
        self, examples: Sequence[TokenizedExample], accuracies: Mapping[int, float]
    ) -> None:
        """Record the MA of secrets in a batch; that of the best predicting prompt counts.

        Args:
            examples: the batch.
            accuracies: the MA of each secret in it.
        """
        worst = {}
        for example in examples:
            for secret in example.secrets & accuracies.keys():
                known = self._known(secret)
                known[self._prompts[secret].index(example)] = accuracies[secret]
                worst[secret] = max(known)
        self.rule.observe_accuracy(worst)

    def _known(self, secret: int) -> list[float]:
        """Return the MA after each prompt: observed since the last full probe, else probed."""
        if self._probes != self.rule.probes:
            self._seen.clear()
            self._probes = self.rule.probes
        if secret not in self._seen:
            self._seen[secret] = [self.rule.accuracy[secret]] * len(self._prompts[secret])
        return self._seen[secret]

    def state_dict(self) -> dict[str, Any]:
        """Return the state, besides that of the generator of random numbers."""
        return {
            "last_evaluation": self.last_evaluation,
            "seen": {secret: list(known) for secret, known in self._seen.items()},
            "probes": self._probes,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.last_evaluation, self._probes = state["last_evaluation"], state["probes"]
        self._seen = {int(secret): list(known) for secret, known in state["seen"].items()}

    @torch.no_grad()
    def _evaluate_if_due(self, step: int) -> None:
        """Evaluate the MA of all remaining examples every few steps, if one batch cannot hold them.

        Many are erased along with others before they are sampled; without this, most steps would be
        spent on them.
        """
        active = self.rule.active
        remaining = [group.longest for group, secrets in self.groups if secrets & active]
        # Evaluating n examples takes n / batch forward passes: at this interval, two per step.
        interval = max(_MIN_INTERVAL, len(remaining) // (2 * self.batch))
        if step - self.last_evaluation < interval or len(remaining) <= self.batch:
            return
        self.last_evaluation = step
        for start in range(0, len(remaining), self.batch):
            part = remaining[start : start + self.batch]
            self.observe(part, self.runner.forward(part).accuracies())
