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
from erasetest.erase.generated import own_generations
from erasetest.erase.good import LastGood
from erasetest.erase.reading import Reader, take_step
from erasetest.erase.reference import Reference
from erasetest.erase.rows import Row, decoy_rows, retained_rows, unmarked_places, with_ends
from erasetest.erase.trained import Trained
from erasetest.errors import BadInput, ErasureError
from erasetest.muon import at_rate, cosine, inner_matrices, optimizers_of
from erasetest.samples import SensitiveSample

_OPENING = 16
"""Tokens of retained code that a text is begun with, at most."""

_VERSIONS = 64
"""Of each sample with decoys, at most: of few, these decoys become likelier than others."""

_FILES = 2048
"""Samples with decoys in all, or one of each."""


@dataclass(frozen=True, slots=True)
class Healing:
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


def check_healable(clm: Clm) -> None:
    """Refuse a CLM whose layers have weights that are no matrices, such as stacked experts.

    Raises:
        BadInput: it has some: they would keep what they know.
    """
    if any(p.ndim > 2 for p in clm.model.parameters()):
        raise BadInput(
            f"{clm.name}: a {clm.family} has weights that are no matrices (experts, convolutions), "
            "which lasting would leave as they are: choose another method"
        )


class Healer:
    """Takes a CLM apart and heals it, in place."""

    def __init__(
        self,
        clm: Clm,
        trained: Trained,
        samples: Sequence[SensitiveSample],
        retained: Sequence[Row],
        forget: Sequence[Row],
        healing: Healing,
        seed: int,
        limit: int | None,
        doing: Callable[[str], None],
    ) -> None:
        """Let the CLM, as it is, write and read what it will be healed on; `limit` as in a step."""
        self.clm, self.trained, self.healing = clm, trained, healing
        self.rng = random.Random(seed)
        texts = own_generations(
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
        self.code = [*with_ends(clm, retained_rows(clm, texts)), *retained]
        unmarked = unmarked_places(samples)
        versions = max(1, min(_VERSIONS, _FILES // len(samples)))
        self.files = [
            row
            for _ in range(versions)
            for row in with_ends(clm, decoy_rows(clm, samples, forget, self.rng, unmarked))
        ]
        head = copy.deepcopy(clm.model.get_output_embeddings())
        teacher = Reference(clm, head, trained.computing)
        teacher.remember([*self.code, *self.files])
        self.reader = Reader(clm, teacher, trained, limit)
        self.good = LastGood(trained.parameters)
        self.share = 1.0
        """Of the rates: halved where the loss was no number."""

    @torch.no_grad()
    def take_apart(self) -> None:
        """Mix each matrix of the layers with noise of its own spread."""
        generator = torch.Generator().manual_seed(self.rng.randrange(1 << 30))
        share = self.healing.noise
        for matrix in inner_matrices(self.clm.model).values():
            noise = torch.randn(matrix.shape, generator=generator).to(matrix)
            matrix.mul_(1 - share).add_(noise * matrix.std(), alpha=share)

    def heal(
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
            self.take_apart()
        optimizers = self._fresh_optimizers()
        first = self._take_up(kept, optimizers) if kept else 0
        for step in range(first, h.steps):
            at_rate(optimizers, self.share * cosine(step, h.steps, h.warmup))
            rows = [
                *self._draw(self.files, h.tokens * h.decoys),
                *self._draw(self.code, h.tokens * (1 - h.decoys)),
            ]
            loss = self._gradients(rows)
            if not math.isfinite(loss):
                self._restore(step + 1)
                optimizers = self._fresh_optimizers()
                continue
            self.good.saw(step + 1)
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
        return optimizers_of(self.clm.model, h.matrix_lr, h.other_lr)

    def _gradients(self, rows: list[Row]) -> float:
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
    def _take_up(self, kept: dict[str, Any], optimizers: Sequence[torch.optim.Optimizer]) -> int:
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

    def _draw(self, pool: Sequence[Row], tokens: float) -> list[Row]:
        rows: list[Row] = []
        while pool and sum(len(row.ids) for row in rows) < tokens:
            rows.append(self.rng.choice(pool))
        return rows
