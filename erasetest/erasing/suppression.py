"""Suppression: training steps on the objective of a method, until every secret is erased."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from erasetest.erasing.erase_evaluation import EraseEvaluator
from erasetest.erasing.erasure_result import ERASED, HARMED, Step
from erasetest.erasing.examples import TokenizedExample, decoy_examples
from erasetest.erasing.forget_batches import ForgetBatchSampler
from erasetest.erasing.objectives import Tokens
from erasetest.erasing.prepare import Prepared
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.retention_guard import RetentionGuard
from erasetest.erasing.rollback import WeightSnapshot
from erasetest.erasing.step_runner import StepRunner, optimizer_step
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import ErasureError


class Suppression:
    """The training loop that suppresses the secrets.

    A loss that is NaN or infinite rolls the weights back by up to ten steps and halves the learning
    rate, at most three times.
    """

    def __init__(
        self, prepared: Prepared, trainable: TrainableModel, evaluator: EraseEvaluator
    ) -> None:
        """Prepare the loop, while the CLM is the original one.

        Raises:
            ErasureError: the CLM's logits are not a matrix applied to its hidden states.
        """
        clm, settings = prepared.clm, prepared.settings
        self.prepared, self.settings, self.method = prepared, settings, prepared.method
        self.trainable, self.evaluator, self.rule = trainable, evaluator, evaluator.rule
        reference = ReferenceModel(clm, trainable.head, trainable.autocast)
        with trainable.without_adapter():
            asked = [example for group in prepared.groups for example in group.examples]
            reference.cache([*asked, *prepared.retained])
        self.runner = StepRunner(clm, reference, trainable, settings.step_tokens)
        assert settings.lr is not None
        self.lr = settings.lr
        self.optimizer = self._new_optimizer()
        self.snapshot = WeightSnapshot(trainable.parameters)
        self.rng = random.Random(settings.seed)
        self.guard = RetentionGuard(self.runner, prepared.retained, settings.guard, settings.seed)
        self.batches = ForgetBatchSampler(
            self.runner, prepared.groups, self.rule, settings.batch, self.rng
        )
        self.history: list[Step] = []

    def run(
        self,
        progress: Callable[[Step, int], None] | None = None,
        save_if_due: Callable[[], None] | None = None,
    ) -> str:
        """Train until the stop rule, the guard or the limit of steps ends it.

        Args:
            progress: receives each step, and the expected number of steps.
            save_if_due: called after each step.

        Returns:
            The reason why it ended.

        Raises:
            ErasureError: the loss is NaN or infinite at the first step, or too often.
        """
        while len(self.history) < self.settings.max_steps:
            step = self._step(len(self.history) + 1)
            if step is None:
                continue
            if not step.active:
                if self.evaluator.is_erased(self.rng, self.settings.batch):
                    return ERASED
                continue
            self.history.append(step)
            if progress is not None:
                progress(step, self._expected_steps())
            if self.guard.is_exceeded():
                return HARMED
            if save_if_due is not None:
                save_if_due()
        return self._end_at_limit()

    def release_memory(self) -> None:
        """Free the optimizer's moments and the snapshot."""
        self.optimizer = self._new_optimizer()
        self.snapshot.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, besides the original CLM and the request."""
        return {
            "parameters": self.trainable.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.getstate(),
            "evaluator": self.evaluator.state_dict(),
            "guard": self.guard.state_dict(),
            "batches": self.batches.state_dict(),
            "max_tokens": self.runner.max_tokens,
            "history": [asdict(step) for step in self.history],
            "lr": self.lr,
            "restored": self.snapshot.restored,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.trainable.load_state_dict(state["parameters"])
        self.lr, self.snapshot.restored = state["lr"], state["restored"]
        self.optimizer = self._new_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.setstate(state["rng"])
        self.evaluator.load_state_dict(state["evaluator"])
        self.guard.load_state_dict(state["guard"])
        self.batches.load_state_dict(state["batches"])
        self.runner.max_tokens = state["max_tokens"]
        self.history = [Step(**step) for step in state["history"]]
        self.snapshot.save()

    def _end_at_limit(self) -> str:
        # No later step would detect non-finite weights left by the last update, so check here.
        with torch.no_grad():
            batch = [group.longest for group in self.prepared.groups[: self.settings.batch]]
            is_finite = self.runner.forward(batch).is_finite()
        if not is_finite:
            self._roll_back(len(self.history))
        if self.evaluator.ranks:
            self.evaluator.rank_against_decoys(self.rng, self.settings.batch)
        if self.evaluator.full_probe_passes():
            return ERASED
        return f"the limit of {self.settings.max_steps} steps came first"

    def _expected_steps(self) -> int:
        """Extrapolate the number of steps from the rate at which secrets become inactive."""
        done, first, left = len(self.history), self.history[0].active, self.history[-1].active
        limit = self.settings.max_steps
        return min(limit, done + done * left // (first - left)) if left < first else limit

    def _step(self, number: int) -> Step | None:
        """Run one step. It changes nothing without active secrets; None if it was rolled back."""
        clm, samples = self.prepared.clm, self.prepared.samples
        forget = self.batches.next(number)
        # Independent of the number of samples: a single text would be preserved at the cost of all
        # others.
        count = self.settings.batch * self.method.retained_factor
        retained = self.rng.sample(self.prepared.retained, min(count, len(self.prepared.retained)))
        decoys = (
            decoy_examples(clm, samples, forget, self.rng, self.prepared.unmarked)
            if self.method.uses_decoys
            else []
        )
        return self.runner.retry_out_of_memory(
            lambda: self._train(number, forget, retained, decoys), [*forget, *retained, *decoys]
        )

    def _train(
        self,
        number: int,
        forget: list[TokenizedExample],
        retained: list[TokenizedExample],
        decoys: list[TokenizedExample],
    ) -> Step | None:
        output = self.runner.forward(forget, retained, decoys)
        if not output.is_finite():
            self._roll_back(number)
            return None
        self.batches.observe(forget, output.accuracies())
        if self.method.uses_decoys:
            self.rule.observe_decoys(output.more_likely_than_decoys())
        active = self.rule.active
        if not active:
            return self._record(number, 0, 0.0, output.retained)
        groups = output.groups(active)
        loss = self.method.loss(groups, self.settings.weights)
        if not torch.isfinite(loss):
            self._roll_back(number)
            return None
        self.snapshot.maybe_save(number)
        output.backward(loss)
        in_batch = frozenset(secret for example in forget for secret in example.secrets)
        self._set_learning_rate(len(in_batch & active) / len(in_batch))
        optimizer_step(self.prepared.clm, [self.optimizer])
        self.optimizer.zero_grad(set_to_none=True)
        self.rule.trained_on(active & in_batch)
        return self._record(number, len(active), float(loss.detach()), groups.retained)

    def _set_learning_rate(self, active_share: float) -> None:
        """Set the learning rate of a step, by the share of the batch's secrets that are active.

        At the full rate, the last few secrets cost more accuracy on retained code.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * max(self.method.min_lr_share, math.sqrt(active_share))

    def _new_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.trainable.parameters, lr=self.lr, betas=self.settings.betas, weight_decay=0.0
        )

    def _roll_back(self, number: int) -> None:
        """Restore the snapshot, and halve the learning rate.

        Raises:
            ErasureError: there is no snapshot, or it was restored too often.
        """
        if not self.snapshot.restore():
            raise ErasureError(
                f"the loss is NaN or infinite at step {number}: nothing was saved; "
                f"try a learning rate below {self.lr:g}"
            )
        self.lr /= 2
        self.optimizer = self._new_optimizer()

    @torch.no_grad()
    def _record(self, number: int, active: int, loss: float, retained: Tokens) -> Step:
        accuracy = self.rule.accuracy
        return Step(
            number,
            loss,
            active,
            max(accuracy),
            sum(accuracy) / len(accuracy),
            float(retained.divergence()),
            self.guard.observe(retained),
            self.optimizer.param_groups[0]["lr"],
            self.rule.extracted,
        )
