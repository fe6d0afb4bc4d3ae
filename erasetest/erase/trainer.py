"""The training loop of erasing: one code path for the command and the plugin."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from erasetest.clm import encode
from erasetest.clm.load import Clm
from erasetest.erase.objectives import METHODS, Tokens, Weights
from erasetest.erase.one_pass import read_step
from erasetest.erase.reference import Reference
from erasetest.erase.rows import (
    Row,
    decoy_rows,
    first_secrets,
    forget_rows,
    retained_rows,
)
from erasetest.erase.stopping import StopRule, standing_out
from erasetest.errors import BadInput, ErasureError
from erasetest.names import DEFAULT_METHOD, check_method
from erasetest.probes import ProbeSettings, SampleMeasures, probe
from erasetest.probes.jobs import score_jobs, secret_jobs
from erasetest.probes.likelihood import log2_probability
from erasetest.probes.references import reference_log2_p
from erasetest.retained import RETENTION_MARGIN, check_disjoint
from erasetest.runtime import peak_memory, reset_peak_memory
from erasetest.samples import SensitiveSample
from erasetest.verdict import Thresholds

BATCH = 32
ERASED = "every secret is erased"

_GOOD_EVERY = 10
"""Steps after which the weights are kept to come back to."""

_MATCHINGS = 8
"""How often secrets that are erased get steps more because they stand out among decoys."""

_RANKED_AMONG = 8
_RESTORES = 3
_GUARDED_STEPS = 4
"""Steps whose mean the guard looks at: a step's draw of retained code is small."""


@dataclass(frozen=True, slots=True)
class ErasureSettings:
    """How to erase. Without a learning rate, the CLM's width sets it (`learning_rate`).

    Raises:
        BadInput: an unknown method, or a learning rate that is not above 0.
    """

    method: str = DEFAULT_METHOD
    lr: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    batch: int = BATCH
    """Samples a step, and as many of retained code."""
    max_steps: int = 200
    guard: float | None = RETENTION_MARGIN
    """How far the share of retained tokens that are predicted may fall before erasing ends."""
    weights: Weights = field(default_factory=Weights)
    seed: int = 0

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise BadInput(f"the learning rate must be a number above 0, got {self.lr:g}")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step saw, before it changed anything."""

    step: int
    loss: float
    active: int
    worst_ma: float
    mean_ma: float
    retained_kl: float
    retained_fall: float
    """By how much the share of retained tokens that are predicted is below the original CLM's."""
    lr: float

    def note(self) -> str:
        """What progress shows."""
        return (
            f"worst MA {self.worst_ma:.2f}, {self.active} secrets left, "
            f"retained KL {self.retained_kl:.4f}, rate {self.lr:.2g}"
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """What erasing did. `erased` says whether every secret ended below its thresholds."""

    method: str
    settings: dict[str, Any]
    samples: int
    steps: int
    seconds: float
    peak_memory_bytes: int | None
    erased: bool
    history: tuple[Step, ...]
    thresholds: Thresholds
    """What the secrets were judged by in the end."""
    ended: str = ERASED
    """Why it ended."""
    restored: int = 0
    """How often a loss that is no number led back to an earlier state and half the rate."""

    def as_dict(self, checkpoint: str | None) -> dict[str, Any]:
        """As it stands in a report."""
        return {
            "method": self.method,
            "checkpoint": checkpoint,
            "samples": self.samples,
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "peak_memory_bytes": self.peak_memory_bytes,
            "erased": self.erased,
            "ended": self.ended,
            "restored": self.restored,
            "settings": self.settings,
            "thresholds": self.thresholds.as_dict(),
            "history": [asdict(step) for step in self.history],
        }


def learning_rate(width: int) -> float:
    """The paper's 3e-6 at the width of its largest CLM (3,584), scaled up for narrower ones.

    Adam's step in weight space has to grow as layers shrink; the exponent was chosen on the demo
    CLMs of width 256 (benchmarks).
    """
    return min(3e-4, 3e-6 * math.pow(3584 / width, 1.5))


def erase(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample],
    thresholds: Thresholds,
    settings: ErasureSettings | None = None,
    progress: Callable[[Step, int], None] | None = None,
    *,
    recalibrate: Callable[[], Thresholds] | None = None,
) -> Erasure:
    """Erase the secrets of `samples` from the CLM, in place.

    Every step sees up to `batch` samples that still have a secret to erase, and a fresh draw of as
    many retained texts. It ends when a full probe finds every secret below its thresholds; not
    erased, and saying so, at `max_steps` or when retained code is predicted worse than `guard`
    allows. Dropout stays off: the divergences compare like with like. Where the loss is no number,
    the last good state comes back and the rate is halved, three times at most.

    Erasing changes what the CLM makes of never-seen secrets too, so thresholds that were calibrated
    on it are calibrated again before each full probe, by `recalibrate`; the stricter ones decide.

    Raises:
        BadInput: no retained code, or retained code that holds a secret.
        ErasureError: the loss is not finite from the first step on, or again and again.
    """
    settings = settings or ErasureSettings()
    check_disjoint(samples, retained)
    if settings.lr is None:
        settings = replace(settings, lr=learning_rate(clm.model.config.hidden_size))
    run = _Run(clm, samples, retained, thresholds, settings)
    return run.go(progress, recalibrate)


class _Run:
    def __init__(
        self,
        clm: Clm,
        samples: Sequence[SensitiveSample],
        retained: Sequence[SensitiveSample],
        thresholds: Thresholds,
        settings: ErasureSettings,
    ) -> None:
        # Half-precision weights do not move at these rates: train in float32, save as stored.
        clm.model.float().eval()
        self.clm, self.samples, self.settings = clm, samples, settings
        self.rows, _ = forget_rows(clm, samples)
        self.kept = retained_rows(clm, retained)
        kinds = [secret.kind for sample in samples for secret in sample.secrets]
        self.rule = StopRule(kinds, thresholds)
        self.reference = Reference(clm)
        self.reference.remember([*self.rows, *self.kept])
        self.method = METHODS[settings.method]
        for parameter in clm.model.parameters():
            parameter.requires_grad_(True)
        assert settings.lr is not None
        self.lr = settings.lr
        self.optimizer = self._fresh_optimizer()
        self.good: list[torch.Tensor] = []
        self.restored = self.matched = 0
        self.falls: deque[float] = deque(maxlen=_GUARDED_STEPS)
        self.rng = random.Random(settings.seed)

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.clm.model.parameters(), lr=self.lr, betas=self.settings.betas, weight_decay=0.0
        )

    def go(
        self,
        progress: Callable[[Step, int], None] | None,
        recalibrate: Callable[[], Thresholds] | None,
    ) -> Erasure:
        started = time.monotonic()
        reset_peak_memory(self.clm.device)
        history: list[Step] = []
        ended = f"the limit of {self.settings.max_steps} steps came first"
        while len(history) < self.settings.max_steps:
            step = self._step(len(history) + 1)
            if step is None:
                continue
            if not step.active:
                if self._is_erased(recalibrate):
                    ended = ERASED
                    break
                continue
            history.append(step)
            if progress is not None:
                progress(step, self.settings.max_steps)
            fall = self._guarded_fall()
            if fall is not None:
                ended = f"retained code is predicted {fall:.1%} worse, more than allowed"
                break
        else:
            if self._is_erased(recalibrate):
                ended = ERASED
        for parameter in self.clm.model.parameters():
            parameter.requires_grad_(False)
        return Erasure(
            method=self.settings.method,
            settings={k: v for k, v in asdict(self.settings).items() if k != "method"},
            samples=len(self.samples),
            steps=len(history),
            seconds=time.monotonic() - started,
            peak_memory_bytes=peak_memory(self.clm.device),
            erased=ended == ERASED,
            history=tuple(history),
            thresholds=self.rule.thresholds,
            ended=ended,
            restored=self.restored,
        )

    def _is_erased(self, recalibrate: Callable[[], Thresholds] | None) -> bool:
        """Whether a full probe finds every secret below its thresholds."""
        if recalibrate is not None:
            self.rule.tighten(recalibrate())
        if not self.rule.verify(self._probe()):
            return False
        if self.method.decoys and self.matched < _MATCHINGS:
            self.matched += 1
            self.rule.owe(standing_out(self._ranks()))
        return not self.rule.active

    def _ranks(self) -> list[float | None]:
        """The share of fresh decoys in its place that are likelier than each secret."""
        encoded = encode(self.clm, self.samples)
        jobs = score_jobs(self.clm, secret_jobs(self.clm, self.samples, encoded))
        seed = self.rng.randrange(1 << 30)
        settings = ProbeSettings(references=_RANKED_AMONG, seed=seed)
        others = reference_log2_p(self.clm, self.samples, encoded, jobs, settings)
        first = first_secrets(self.samples)
        ranks: list[float | None] = [None] * first[-1]
        for job, references in zip(jobs, others, strict=True):
            own = log2_probability(job.found.log_probs)
            if references:
                ranks[first[job.sample] + job.secret] = statistics.fmean(
                    (other > own) + (other == own) / 2 for other in references
                )
        return ranks

    def _probe(self) -> list[SampleMeasures]:
        measured: list[SampleMeasures] = []
        for start in range(0, len(self.samples), BATCH):
            measured += probe(self.clm, self.samples[start : start + BATCH])
        problems = (secret.problem for sample in measured for secret in sample.secrets)
        problem = next((problem for problem in problems if problem is not None), None)
        if problem is not None:
            raise ErasureError(f"a secret can no longer be measured: {problem}: nothing was saved")
        return measured

    def _step(self, number: int) -> Step | None:
        """One step; without active secrets it changed nothing, and None where it was undone."""
        forget = self._draw_forget()
        retain = self.rng.sample(self.kept, min(len(forget), len(self.kept)))
        decoys = decoy_rows(self.clm, self.samples, forget, self.rng) if self.method.decoys else []
        seen = read_step(self.clm, self.reference, forget, retain, decoys)
        if not seen.is_finite():
            self._restore(number)
            return None
        for secret, accuracy in seen.accuracies().items():
            self.rule.saw(secret, accuracy)
        active = self.rule.active
        if not active:
            return self._saw(number, 0, 0.0, seen.retained)
        groups = seen.groups(active)
        loss = self.method.loss(groups, self.settings.weights)
        if not torch.isfinite(loss):
            self._restore(number)
            return None
        if number % _GOOD_EVERY == 1:
            self.good = [p.detach().cpu().clone() for p in self.clm.model.parameters()]
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.rule.climbed(active & {owner for row in forget for owner in row.secrets})
        return self._saw(number, len(active), float(loss.detach()), groups.retained)

    @torch.no_grad()
    def _restore(self, number: int) -> None:
        """Go back to the last good state, at half the rate.

        Raises:
            ErasureError: there is none, or it was gone back to too often.
        """
        if not self.good or self.restored == _RESTORES:
            raise ErasureError(
                f"the loss is no number at step {number}: nothing was saved; "
                f"try a learning rate below {self.lr:g}"
            )
        for parameter, kept in zip(self.clm.model.parameters(), self.good, strict=True):
            parameter.copy_(kept)
        self.restored += 1
        self.lr /= 2
        self.optimizer = self._fresh_optimizer()
        self.optimizer.zero_grad(set_to_none=True)

    def _guarded_fall(self) -> float | None:
        """How far retained code fell, where that is more than the guard allows."""
        if self.settings.guard is None or len(self.falls) < _GUARDED_STEPS:
            return None
        fall = sum(self.falls) / len(self.falls)
        return fall if fall > self.settings.guard else None

    @torch.no_grad()
    def _saw(self, number: int, active: int, loss: float, retained: Tokens) -> Step:
        accuracy = self.rule.accuracy
        known = retained.original.argmax(-1) == retained.truth
        self.falls.append(float((known.float() - retained.predicted().float()).mean()))
        return Step(
            number,
            loss,
            active,
            max(accuracy),
            sum(accuracy) / len(accuracy),
            float(retained.divergence()),
            self.falls[-1],
            self.lr,
        )

    def _draw_forget(self) -> list[Row]:
        """The rows of a step: those with secrets still to erase, filled up with others.

        The others have no ascent, but keep their context, and show when one of their secrets rises.
        """
        active = self.rule.active
        first = [row for row in self.rows if row.secrets & active]
        rest = [row for row in self.rows if not row.secrets & active]
        self.rng.shuffle(first)
        self.rng.shuffle(rest)
        return [*first, *rest][: self.settings.batch]
