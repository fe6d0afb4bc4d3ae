"""Erase the secrets of samples from a CLM: one code path for the command and the plugin."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from erasetest.clm.model import Clm
from erasetest.erasing.erase_evaluation import EraseEvaluator
from erasetest.erasing.erasure_result import ERASED, HARMED, RELEARNED, Erasure, Step
from erasetest.erasing.erasure_settings import ErasureSettings
from erasetest.erasing.prepare import Prepared, prepare
from erasetest.erasing.resume import ResumeFile
from erasetest.erasing.suppression import Suppression
from erasetest.erasing.trainable import TrainableModel
from erasetest.erasing.undo import Distiller
from erasetest.samples import SensitiveSample
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
) -> Erasure:
    """Erase the secrets of `samples` from the CLM, in place.

    Every step reads up to `batch` samples that still have a secret to erase, and fresh retained
    texts: as many, or twice as many by some methods. It ends when a full probe finds every secret
    below its thresholds. It gives up at `max_steps`, or when next-token accuracy on retained code
    falls by more than `guard`. Dropout stays off, so that divergences compare like with like. A
    loss that is NaN or infinite rolls the weights back and halves the learning rate.

    Erasing also changes the likelihood of control secrets. Thresholds calibrated on the CLM are
    therefore recalibrated before each full probe, by `recalibrate`, and the stricter ones decide.

    Args:
        clm: changed in place.
        samples: the samples whose secrets to erase.
        retained: code whose behaviour must not change.
        thresholds: the limits that each secret has to be below.
        settings: settings of the erasure; None for the defaults.
        progress: receives each step, and the expected number of steps.
        recalibrate: computes the thresholds of the current CLM.
        earlier: samples erased before: probed with the others, and erased again if they leak.
        doing: receives a description of what takes time between two steps.

    Raises:
        BadInput: as in `prepare`.
        ErasureError: the loss is NaN or infinite at the first step, or too often; a single text
            does not fit in memory.
    """
    prepared = prepare(clm, samples, retained, settings or ErasureSettings(), earlier)
    return ErasureRun(prepared, thresholds, progress, recalibrate=recalibrate, doing=doing).run()


def _ignore(_: str) -> None:
    """Receive descriptions that nobody asked for."""


class ErasureRun:
    """Suppression, then distillation if the method has one; can be resumed from a file."""

    def __init__(
        self,
        prepared: Prepared,
        thresholds: Thresholds,
        progress: Callable[[Step, int], None] | None = None,
        *,
        recalibrate: Callable[[], Thresholds] | None = None,
        doing: Callable[[str], None] | None = None,
        resume_file: ResumeFile | None = None,
    ) -> None:
        """Prepare the CLM for training.

        Args:
            prepared: the request.
            thresholds: as in `erase`, with the arguments up to `doing`.
            progress: see `erase`.
            recalibrate: see `erase`.
            doing: see `erase`.
            resume_file: where to save the state of the run, and to resume from.
        """
        settings = prepared.settings
        self.prepared, self.progress = prepared, progress
        self.doing, self.resume_file = doing or _ignore, resume_file
        self.trainable = TrainableModel(
            prepared.clm,
            settings.lora,
            precision=settings.precision,
            checkpointing=settings.checkpointing,
            seed=settings.seed,
        )
        self.evaluator = EraseEvaluator(
            prepared.clm,
            prepared.samples,
            self.trainable,
            thresholds,
            recalibrate,
            self.doing,
            ranks=prepared.method.uses_decoys,
        )
        self.suppression = Suppression(prepared, self.trainable, self.evaluator)
        self.distiller: Distiller | None = None
        self._suppressed: dict[str, Any] | None = None
        """State at the end of the suppression, once the distillation has begun."""
        self._distillation: dict[str, Any] | None = None
        """State of the distillation to resume."""
        self._started, self._earlier_seconds = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Time spent, in this process and in earlier ones that were killed."""
        return self._earlier_seconds + time.monotonic() - self._started

    def run(self) -> Erasure:
        """Erase, or resume; return the result."""
        reset_peak_memory(self.prepared.clm.device)
        self._start_or_resume()
        # A run resumed in its distillation is suppressed already: another evaluation could
        # schedule more steps.
        ended = ERASED if self._distillation else self._suppress()
        drop = self.suppression.guard.accuracy_drop()
        distills = ended == ERASED and self.prepared.method.distills
        # Distillation preserves what the suppressed CLM outputs, including any harm.
        distills = distills and not self.suppression.guard.exceeds_limit(drop)
        if distills:
            self._distill()
            self._rank()
            if not self.evaluator.full_probe_passes():
                ended = RELEARNED
            drop = self.suppression.guard.accuracy_drop()
        if ended == ERASED and self.suppression.guard.exceeds_limit(drop):
            ended = HARMED
        return self._result(ended, drop, distills=distills)

    def save_if_due(self) -> None:
        """Save the state, if it is time; never with non-finite weights, which cannot be resumed."""
        file = self.resume_file
        if file is not None and file.is_due() and self.trainable.is_finite():
            file.write(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the run."""
        state = {
            "seconds": self.seconds,
            "suppression": self._suppressed or self.suppression.state_dict(),
        }
        if self.distiller is not None:
            state["distillation"] = self.distiller.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state. That of a distillation is kept until the distillation is resumed."""
        self._earlier_seconds = state["seconds"]
        self.suppression.load_state_dict(state["suppression"])
        self._distillation = state.get("distillation")

    def _start_or_resume(self) -> None:
        # Local, so that the state is freed: it takes as much memory as weights and moments.
        state = self.resume_file.read() if self.resume_file is not None else None
        if state is None:
            self.evaluator.start()
        else:
            self.load_state_dict(state)

    def _suppress(self) -> str:
        return self.suppression.run(self.progress, self.save_if_due)

    def _distill(self) -> None:
        suppression = self.suppression
        # Distillation has its own optimizers: the moments of this one would stay on the device.
        suppression.release_memory()
        # Copied: the state shares memory with the weights, which change from here on.
        parameters = suppression.snapshot.copy_weights()
        self._suppressed = {**suppression.state_dict(), "parameters": parameters}
        distiller = Distiller(
            self.prepared, self.trainable, suppression.runner.max_tokens, self.doing
        )
        if self._distillation is not None:
            distiller.load_state_dict(self._distillation)
            self._distillation = None
        self.distiller = distiller
        distiller.run(self._report_distillation, self.save_if_due)
        suppression.snapshot.restored += distiller.snapshot.restored
        # Free the cached outputs of the teacher, and the copy of the suppressed weights.
        self.distiller = self._suppressed = None

    def _report_distillation(self, step: int, divergence: float) -> None:
        if self.progress is not None:
            first = len(self.suppression.history)
            done = Step.of_distillation(first + step, divergence, self.evaluator.rule.accuracy)
            self.progress(done, first + self.prepared.settings.healing.steps)

    def _rank(self) -> None:
        self.evaluator.rank_against_decoys(self.suppression.rng, self.prepared.settings.batch)

    def _result(self, ended: str, drop: float, *, distills: bool) -> Erasure:
        settings, history = self.prepared.settings, self.suppression.history
        peak = peak_memory(self.prepared.clm.device)
        return Erasure(
            method=settings.method,
            settings={k: v for k, v in asdict(settings).items() if k != "method"},
            samples=len(self.prepared.samples) - self.prepared.earlier,
            rechecked=self.prepared.earlier,
            steps=len(history) + distills * settings.healing.steps,
            seconds=self.seconds,
            peak_memory_bytes=peak,
            erased=ended == ERASED,
            history=tuple(history),
            thresholds=self.evaluator.rule.thresholds,
            ended=ended,
            retained_fall=drop,
            rank=self.evaluator.rank,
            stands_out=self.evaluator.stands_out,
            adapter=self.trainable.finish(),
            restored=self.suppression.snapshot.restored,
        )
