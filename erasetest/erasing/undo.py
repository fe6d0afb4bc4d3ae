"""Erasing that lasts: what was suppressed is taken apart, and only what is wanted is taught again.

Suppression leaves a secret in the weights, one short training away. So the suppressed CLM becomes a
teacher; its layers are mixed with noise, and healed by distillation from the teacher on texts that
hold no secret (after "Distillation robustifies unlearning", 2025). What the teacher does not say,
the healed CLM never learns.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from erasetest.clm.load import Clm
from erasetest.erasing.examples import (
    TokenizedExample,
    append_eos,
    decoy_examples,
    retained_examples,
    unmarked_places,
)
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.rollback import WeightSnapshot
from erasetest.erasing.self_generated import self_generated_texts
from erasetest.erasing.step_runner import StepRunner, take_step
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import BadInput, ErasureError
from erasetest.samples import SensitiveSample
from erasetest.support.optimizers import (
    cosine_schedule,
    hidden_matrices,
    make_optimizers,
    scale_learning_rates,
)

_OPENING = 16
"""Tokens of retained code that a text is begun with, at most."""

_VERSIONS = 64
"""Of each sample with decoys, at most: of few, these decoys become likelier than others."""

_FILES = 2048
"""Samples with decoys in all, or one of each."""


@dataclass(frozen=True, slots=True)
class Distillation:
    """How much is taken apart, and how long it is healed."""

    noise: float = 0.2
    """Share of noise in each matrix of the layers."""
    steps: int = 900
    tokens: int = 2048
    """A step, about."""
    texts: int = 3000
    """That the teacher writes. What is in none of them is lost."""
    decoys: float = 0.2
    """Share of a step's tokens that are samples with decoys for their secrets."""
    matrix_lr: float = 0.02
    other_lr: float = 3e-3
    warmup: int = 10


def check_distillable(clm: Clm) -> None:
    """Refuse a CLM whose layers have weights that are no matrices, such as stacked experts.

    Raises:
        BadInput: it has some: they would keep what they know.
    """
    if any(p.ndim > 2 for p in clm.model.parameters()):
        raise BadInput(
            f"{clm.name}: a {clm.family} has weights that are no matrices (experts, convolutions), "
            "which lasting would leave as they are: choose another method"
        )


class Distiller:
    """Takes a CLM apart and heals it, in place."""

    def __init__(
        self,
        clm: Clm,
        trained: TrainableModel,
        samples: Sequence[SensitiveSample],
        retained: Sequence[TokenizedExample],
        forget: Sequence[TokenizedExample],
        healing: Distillation,
        seed: int,
        limit: int | None,
        doing: Callable[[str], None],
    ) -> None:
        """Let the CLM, as it is, write and read what it will be healed on; `limit` as in a step."""
        self.clm, self.trained, self.healing = clm, trained, healing
        self.rng = random.Random(seed)
        texts = self_generated_texts(
            clm,
            samples,
            healing.texts,
            openings=[
                row.ids[: min(self.rng.randint(1, _OPENING), len(row.ids) - 1)] for row in retained
            ],
            seed=seed,
            progress=lambda done, all_: doing(f"writing texts to heal on: {done}/{all_}"),
        )
        doing("reading what to heal on")
        self.code = [*append_eos(clm, retained_examples(clm, texts)), *retained]
        unmarked = unmarked_places(samples)
        versions = max(1, min(_VERSIONS, _FILES // len(samples)))
        self.files = [
            row
            for _ in range(versions)
            for row in append_eos(clm, decoy_examples(clm, samples, forget, self.rng, unmarked))
        ]
        head = copy.deepcopy(clm.model.get_output_embeddings())
        teacher = ReferenceModel(clm, head, trained.computing)
        teacher.remember([*self.code, *self.files])
        self.reader = StepRunner(clm, teacher, trained, limit)
        self.good = WeightSnapshot(trained.parameters)
        self.share = 1.0
        """Of the rates: halved where the loss was no number."""

    @torch.no_grad()
    def add_noise(self) -> None:
        """Mix each matrix of the layers with noise of its own spread."""
        generator = torch.Generator().manual_seed(self.rng.randrange(1 << 30))
        share = self.healing.noise
        for matrix in hidden_matrices(self.clm.model).values():
            noise = torch.randn(matrix.shape, generator=generator).to(matrix)
            matrix.mul_(1 - share).add_(noise * matrix.std(), alpha=share)

    def distill(
        self,
        progress: Callable[[int, float], None] | None = None,
        kept: dict[str, Any] | None = None,
        keep: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Take the CLM apart, and teach it what the teacher says.

        Where the loss is no number, the weights of up to ten steps before come back and the rates
        are halved, three times at most.

        Args:
            progress: told steps done, and the divergence from the teacher in nats a token.
            kept: a state to go on from; it is emptied.
            keep: given the state after each step; it decides when to keep it.

        Raises:
            ErasureError: the loss is no number from the first step on, or again and again.
        """
        h = self.healing
        if kept is None:
            self.add_noise()
        optimizers = self._fresh_optimizers()
        first = self._load_state_dict(kept, optimizers) if kept else 0
        for step in range(first, h.steps):
            scale_learning_rates(optimizers, self.share * cosine_schedule(step, h.steps, h.warmup))
            rows = [
                *self._draw(self.files, h.tokens * h.decoys),
                *self._draw(self.code, h.tokens * (1 - h.decoys)),
            ]
            loss = self._gradients(rows)
            if not math.isfinite(loss):
                self._restore(step + 1)
                optimizers = self._fresh_optimizers()
                continue
            self.good.maybe_save(step + 1)
            torch.nn.utils.clip_grad_norm_(self.trained.parameters, 1.0)
            take_step(self.clm, optimizers)
            self._zero_gradients()
            if progress is not None:
                progress(step + 1, loss)
            if keep is not None:
                keep(
                    {
                        "step": step + 1,
                        "parameters": [p.detach() for p in self.trained.parameters],
                        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                        "rng": self.rng.getstate(),
                        "share": self.share,
                        "restored": self.good.restored,
                    }
                )

        # What the last step broke no other one has seen.
        if not all(bool(p.isfinite().all()) for p in self.trained.parameters):
            self._restore(h.steps)

    def _fresh_optimizers(self) -> list[torch.optim.Optimizer]:
        h = self.healing
        return make_optimizers(self.clm.model, h.matrix_lr, h.other_lr)

    def _gradients(self, rows: list[TokenizedExample]) -> float:
        """The divergence of a step from the teacher; if it is a number, with its gradients."""

        def read() -> float:
            seen = self.reader.read(retain=rows)
            loss = seen.retained.divergence()
            if torch.isfinite(loss):
                seen.backward(loss)
            return float(loss.detach())

        return self.reader.until_it_fits(read, rows)

    def _restore(self, number: int) -> None:
        if not self.good.restore():
            raise ErasureError(
                f"the loss is no number at step {number} of healing: nothing was saved; choose "
                "another method"
            )
        self.share /= 2

    def _zero_gradients(self) -> None:
        for parameter in self.trained.parameters:
            parameter.grad = None

    @torch.no_grad()
    def _load_state_dict(
        self, kept: dict[str, Any], optimizers: Sequence[torch.optim.Optimizer]
    ) -> int:
        for parameter, weights in zip(self.trained.parameters, kept["parameters"], strict=True):
            parameter.copy_(weights)
        for optimizer, state in zip(optimizers, kept["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.rng.setstate(kept["rng"])
        self.share, self.good.restored = kept["share"], kept["restored"]
        self.good.keep()
        step = int(kept["step"])
        # It holds as much as the weights and their moments.
        kept.clear()
        return step

    def _draw(self, pool: Sequence[TokenizedExample], tokens: float) -> list[TokenizedExample]:
        rows: list[TokenizedExample] = []
        while pool and sum(len(row.ids) for row in rows) < tokens:
            rows.append(self.rng.choice(pool))
        return rows
