"""The training loop of erasing: one code path for the command and the plugin."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from erasetest.clm.load import Clm
from erasetest.erasing.erase_evaluation import EraseEvaluator
from erasetest.erasing.erasure_result import ERASED, HARMED, Erasure, Step
from erasetest.erasing.erasure_settings import ErasureSettings, learning_rate
from erasetest.erasing.examples import (
    TokenizedExample,
    append_eos,
    decoy_examples,
    forget_examples,
    retained_examples,
    unmarked_places,
)
from erasetest.erasing.forget_batches import ForgetBatchSampler
from erasetest.erasing.objectives import METHODS, Tokens
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.resume import ResumeFile
from erasetest.erasing.retention_guard import RetentionGuard
from erasetest.erasing.rollback import WeightSnapshot
from erasetest.erasing.step_runner import StepRunner, take_step
from erasetest.erasing.trainable import TrainableModel
from erasetest.erasing.undo import Distiller, check_distillable
from erasetest.errors import ErasureError
from erasetest.samples import SensitiveSample
from erasetest.samples.retained import check_disjoint
from erasetest.support.torch_environment import peak_memory, reset_peak_memory
from erasetest.verdict import Thresholds


def erase(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample],
    thresholds: Thresholds,
    settings: ErasureSettings | None = None,
    progress: Callable[[Step, int], None] | None = None,
    *,
    recalibrate: Callable[[], Thresholds] | None = None,
    earlier: Sequence[SensitiveSample] = (),
    doing: Callable[[str], None] | None = None,
    unfinished: ResumeFile | None = None,
) -> Erasure:
    """Erase the secrets of `samples` from the CLM, in place.

    Every step sees up to `batch` samples that still have a secret to erase, and a fresh draw of
    `batch` retained texts, or twice as many where the method asks for them. It ends when a full
    probe finds every secret below its thresholds; not erased, and saying so, at `max_steps` or when
    retained code is predicted worse than `guard` allows. Dropout stays off: the divergences compare
    like with like. Where the loss is no number, the last good state comes back and the rate is
    halved, three times at most.

    Erasing changes what the CLM makes of never-seen secrets too, so thresholds that were calibrated
    on it are calibrated again before each full probe, by `recalibrate`; the stricter ones decide.

    Args:
        clm: changed in place.
        samples: what is to be erased.
        retained: code whose behaviour is to stay.
        thresholds: what a secret has to be below.
        settings: how; the defaults where None.
        progress: told each step, and how many there are likely to be.
        recalibrate: finds the thresholds of the CLM as it is.
        earlier: samples that were erased before: probed with the others, and erased again where
            they come back.
        doing: told what is done between two steps.
        unfinished: where the work is kept while it goes on; one that was begun there goes on.

    Raises:
        BadInput: no retained code, or retained code that holds a secret; quantized weights.
        ErasureError: the loss is not finite from the first step on, or again and again.
    """
    settings = settings or ErasureSettings()
    check_disjoint([*samples, *earlier], retained)
    if settings.lr is None:
        rate = learning_rate(clm.width, settings.method, settings.lora)
        settings = replace(settings, lr=rate)
    judged = [*samples, *earlier]
    told = doing or _silent
    run = _Run(clm, judged, retained, thresholds, settings, progress, told, recalibrate, unfinished)
    done = run.go()
    return replace(done, samples=len(samples), rechecked=len(earlier))


def _silent(_: str) -> None:
    """Where nobody asked."""


class _Run:
    def __init__(
        self,
        clm: Clm,
        samples: Sequence[SensitiveSample],
        retained: Sequence[SensitiveSample],
        thresholds: Thresholds,
        settings: ErasureSettings,
        progress: Callable[[Step, int], None] | None,
        doing: Callable[[str], None],
        recalibrate: Callable[[], Thresholds] | None,
        unfinished: ResumeFile | None,
    ) -> None:
        self.clm, self.samples, self.settings = clm, samples, settings
        self.method = METHODS[settings.method]
        if self.method.heals:
            check_distillable(clm)
        self.unmarked = unmarked_places(samples)
        self.rows, _ = forget_examples(clm, samples, self.unmarked)
        self.kept = retained_examples(clm, retained)
        if self.method.ends:
            self.rows, self.kept = append_eos(clm, self.rows), append_eos(clm, self.kept)
        self.trained = TrainableModel(
            clm,
            settings.lora,
            precision=settings.precision,
            checkpointing=settings.checkpointing,
            seed=settings.seed,
        )
        ranks = self.method.decoys
        self.judge = EraseEvaluator(
            clm, samples, self.trained, thresholds, recalibrate, doing, ranks=ranks
        )
        self.rule = self.judge.rule
        reference = ReferenceModel(clm, self.trained.head, self.trained.computing)
        with self.trained.original():
            reference.remember([*self.rows, *self.kept])
        self.reader = StepRunner(clm, reference, self.trained, settings.step_tokens)
        assert settings.lr is not None
        self.lr = settings.lr
        self.optimizer = self._fresh_optimizer()
        self.good = WeightSnapshot(self.trained.parameters)
        self.rng = random.Random(settings.seed)
        self.guard = RetentionGuard(self.reader, self.kept, settings.guard, settings.seed)
        self.draws = ForgetBatchSampler(self.reader, self.rows, self.rule, settings.batch, self.rng)
        self.history: list[Step] = []
        self.progress, self.doing, self.unfinished = progress, doing, unfinished
        self.started, self.spent = time.monotonic(), 0.0

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.trained.parameters, lr=self.lr, betas=self.settings.betas, weight_decay=0.0
        )

    @property
    def seconds(self) -> float:
        """Since the work began, in this process and in those that were killed."""
        return self.spent + time.monotonic() - self.started

    def go(self) -> Erasure:
        reset_peak_memory(self.clm.device)
        kept = self.unfinished.read() if self.unfinished else None
        healing = None
        if kept is not None:
            healing = kept.pop("healing", None)
            self._load_state_dict(kept)
            # It holds as much as the weights and their moments.
            del kept
        else:
            self.judge.begin()
        # What is being healed was suppressed: looked at again, it could be given steps more.
        ended = ERASED if healing else self._suppress()
        fall = self.guard.fall()
        healed = ended == ERASED and self.method.heals and not self.guard.forbids(fall)
        if healed:
            self._heal(healing)
            self.judge.rank_against_decoys(self.rng, self.settings.batch)
            if not self.judge.full_probe_passes():
                ended = "a secret came back while the CLM was healed"
            fall = self.guard.fall()
        if ended == ERASED and self.guard.forbids(fall):
            ended = HARMED
        peak = peak_memory(self.clm.device)
        return Erasure(
            method=self.settings.method,
            settings={k: v for k, v in asdict(self.settings).items() if k != "method"},
            samples=len(self.samples),
            steps=len(self.history) + healed * self.settings.healing.steps,
            seconds=self.seconds,
            peak_memory_bytes=peak,
            erased=ended == ERASED,
            history=tuple(self.history),
            thresholds=self.rule.thresholds,
            ended=ended,
            retained_fall=fall,
            rank=self.judge.rank,
            stands_out=self.judge.stands_out,
            adapter=self.trained.finish(),
            restored=self.good.restored,
        )

    def _suppress(self) -> str:
        """Step until the stop rule or the guard ends it, and say why it ended."""
        while len(self.history) < self.settings.max_steps:
            step = self._step(len(self.history) + 1)
            if step is None:
                continue
            if not step.active:
                if self.judge.is_erased(self.rng, self.settings.batch):
                    return ERASED
                continue
            self.history.append(step)
            if self.progress is not None:
                self.progress(step, self._expected())
            if self.guard.is_alarmed():
                return HARMED
            if self.unfinished is not None and self._is_due(self.unfinished):
                self.unfinished.write(self._state())
        # What the last step broke no other one has seen.
        with torch.no_grad():
            is_finite = self.reader.read(self.rows[: self.settings.batch]).is_finite()
        if not is_finite:
            self._restore(len(self.history))
        if self.judge.ranks:
            self.judge.rank_against_decoys(self.rng, self.settings.batch)
        if self.judge.full_probe_passes():
            return ERASED
        return f"the limit of {self.settings.max_steps} steps came first"

    def _heal(self, kept: dict[str, Any] | None) -> None:
        # Healing has optimizers of its own: the moments of this one would stay on the device.
        self.optimizer = self._fresh_optimizer()
        suppressed = {**self._state(), "parameters": self.good.copied()}
        self.good.forget()
        healer = Distiller(
            self.clm,
            self.trained,
            self.samples,
            self.kept,
            self.rows,
            self.settings.healing,
            self.settings.seed,
            self.reader.limit,
            self.doing,
        )
        first = len(self.history)

        def tell(step: int, divergence: float) -> None:
            if self.progress is not None:
                done = Step.of_healing(first + step, divergence, self.rule.accuracy)
                self.progress(done, first + self.settings.healing.steps)

        def keep(healing: dict[str, Any]) -> None:
            if self.unfinished is not None and self._is_due(self.unfinished):
                found = {"seconds": self.seconds, "healing": healing}
                self.unfinished.write({**suppressed, **found})

        healer.distill(tell, kept, keep)
        self.good.restored += healer.good.restored

    def _is_due(self, unfinished: ResumeFile) -> bool:
        """Whether to keep a state: never one of no numbers, which the next run would fail on."""
        return unfinished.is_due() and all(
            bool(p.isfinite().all()) for p in self.trained.parameters
        )

    def _expected(self) -> int:
        """How many steps there will be, at the pace at which secrets leave the ascent."""
        done, first, left = len(self.history), self.history[0].active, self.history[-1].active
        limit = self.settings.max_steps
        return min(limit, done + done * left // (first - left)) if left < first else limit

    def _state(self) -> dict[str, Any]:
        """All that the next step depends on, beside the original CLM and what was asked."""
        return {
            "parameters": [p.detach() for p in self.trained.parameters],
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.getstate(),
            "judge": self.judge.state(),
            "guard": self.guard.state(),
            "looked": self.draws.looked,
            "limit": self.reader.limit,
            "history": [asdict(step) for step in self.history],
            "seconds": self.seconds,
            "lr": self.lr,
            "restored": self.good.restored,
        }

    @torch.no_grad()
    def _load_state_dict(self, state: dict[str, Any]) -> None:
        for parameter, weights in zip(self.trained.parameters, state["parameters"], strict=True):
            parameter.copy_(weights)
        self.lr, self.good.restored = state["lr"], state["restored"]
        self.optimizer = self._fresh_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.setstate(state["rng"])
        self.judge.load_state_dict(state["judge"])
        self.guard.load_state_dict(state["guard"])
        self.draws.looked = state["looked"]
        self.reader.limit = state["limit"]
        self.history = [Step(**step) for step in state["history"]]
        self.spent = state["seconds"]
        self.good.keep()

    def _step(self, number: int) -> Step | None:
        """One step; without active secrets it changed nothing, and None where it was undone."""
        forget = self.draws.next(number)
        # As many whatever is to be erased: one text alone would be held, and all others not.
        count = self.settings.batch * self.method.retained
        retain = self.rng.sample(self.kept, min(count, len(self.kept)))
        decoys = (
            decoy_examples(self.clm, self.samples, forget, self.rng, self.unmarked)
            if self.method.decoys
            else []
        )
        return self.reader.until_it_fits(
            lambda: self._train(number, forget, retain, decoys), [*forget, *retain, *decoys]
        )

    def _train(
        self,
        number: int,
        forget: list[TokenizedExample],
        retain: list[TokenizedExample],
        decoys: list[TokenizedExample],
    ) -> Step | None:
        seen = self.reader.read(forget, retain, decoys)
        if not seen.is_finite():
            self._restore(number)
            return None
        self.rule.observe(seen.accuracies())
        if self.method.decoys:
            self.rule.compared(seen.likelier())
        active = self.rule.active
        if not active:
            return self._saw(number, 0, 0.0, seen.retained)
        groups = seen.groups(active)
        loss = self.method.loss(groups, self.settings.weights)
        if not torch.isfinite(loss):
            self._restore(number)
            return None
        self.good.maybe_save(number)
        seen.backward(loss)
        here = frozenset(owner for row in forget for owner in row.secrets)
        self._set_rate(len(here & active) / len(here))
        take_step(self.clm, [self.optimizer])
        self.optimizer.zero_grad(set_to_none=True)
        self.rule.climbed(active & here)
        return self._saw(number, len(active), float(loss.detach()), groups.retained)

    def _set_rate(self, active: float) -> None:
        """For a step of whose secrets this share is still to be erased.

        At the full rate the last few cost more of what is retained (docs/explanation/erasing.md).
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * max(self.method.slowest, math.sqrt(active))

    def _restore(self, number: int) -> None:
        """Go back to the last good state, at half the rate.

        Raises:
            ErasureError: there is none, or it was gone back to too often.
        """
        if not self.good.restore():
            raise ErasureError(
                f"the loss is no number at step {number}: nothing was saved; "
                f"try a learning rate below {self.lr:g}"
            )
        self.lr /= 2
        self.optimizer = self._fresh_optimizer()

    @torch.no_grad()
    def _saw(self, number: int, active: int, loss: float, retained: Tokens) -> Step:
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
