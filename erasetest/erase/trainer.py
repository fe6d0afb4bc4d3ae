"""The training loop of erasing: one code path for the command and the plugin."""

from __future__ import annotations

import gc
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
from erasetest.clm.batching import is_out_of_memory
from erasetest.clm.load import Clm
from erasetest.erase.lasting import Healer, Healing
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
from erasetest.erase.trained import Adapter, Lora, Trained
from erasetest.erase.unfinished import Unfinished
from erasetest.errors import BadInput, ErasureError
from erasetest.names import DEFAULT_METHOD, PRECISIONS, check_method
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
_LOOK_EVERY = 4
_RESTORES = 3
_NUMBERS = ("lr", "limit", "restored", "matched", "looked")
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
    lora: Lora | None = None
    """Train an adapter, and leave the CLM's own weights as they are."""
    precision: str = "auto"
    """`float32`, or `bfloat16`: autocast, of float32 weights; `auto` is that on GPUs, where the
    checkpoint is stored in half precision."""
    checkpointing: bool = False
    """Compute layers again in the backward pass: less memory, a forward pass more."""
    healing: Healing = field(default_factory=Healing)
    """Of the method `lasting` alone."""
    step_tokens: int | None = None
    """Tokens of a step that are read at a time; without it all, as long as memory allows."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.lora is not None and METHODS[self.method].heals:
            raise BadInput(
                f"{self.method} changes every weight of the CLM, which an adapter cannot: leave "
                "--lora out"
            )
        if self.precision not in PRECISIONS:
            raise BadInput(
                f"no precision {self.precision!r}: expected one of {', '.join(PRECISIONS)}"
            )
        for name in ("batch", "max_steps", "step_tokens"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise BadInput(f"{name} must be 1 or more, got {given}")
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
    extracted: int
    """Secrets that the last full probe found extracted."""
    healing: bool = False
    """Whether this is a step of healing, and `retained_kl` the divergence from the teacher."""

    def note(self) -> str:
        """What progress shows."""
        if self.healing:
            return f"healing, {self.retained_kl:.4f} nats from the teacher"
        return (
            f"worst MA {self.worst_ma:.2f}, {self.active} secrets left, "
            f"{self.extracted} extracted when last probed, "
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
    rechecked: int = 0
    """Samples erased earlier, that were kept erased."""
    adapter: Adapter | None = None
    """What was trained, where that was an adapter."""
    restored: int = 0
    """How often a loss that is no number led back to an earlier state and half the rate."""

    def as_dict(self, checkpoint: str | None) -> dict[str, Any]:
        """As it stands in a report."""
        return {
            "method": self.method,
            "checkpoint": checkpoint,
            "samples": self.samples,
            "rechecked": self.rechecked,
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


def learning_rate(width: int, method: str, lora: Lora | None = None) -> float:
    """The paper's 3e-6 at the width of its largest CLM (3,584), scaled up for narrower ones.

    Adam's step in weight space has to grow as layers shrink; the exponent was chosen on the demo
    CLMs of width 256 (benchmarks). A method takes its own multiple of that; an adapter, which
    begins at zero, ten times as much whatever the method.
    """
    whole = min(3e-4, 3e-6 * math.pow(3584 / width, 1.5))
    return whole * (METHODS[method].rate if lora is None else 10)


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
    unfinished: Unfinished | None = None,
) -> Erasure:
    """Erase the secrets of `samples` from the CLM, in place.

    Every step sees up to `batch` samples that still have a secret to erase, and a fresh draw of as
    many retained texts. It ends when a full probe finds every secret below its thresholds; not
    erased, and saying so, at `max_steps` or when retained code is predicted worse than `guard`
    allows. Dropout stays off: the divergences compare like with like. Where the loss is no number,
    the last good state comes back and the rate is halved, three times at most.

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
        unfinished: where the work is kept while it goes on; one that was begun there goes on.

    Raises:
        BadInput: no retained code, or retained code that holds a secret; quantized weights.
        ErasureError: the loss is not finite from the first step on, or again and again.
    """
    settings = settings or ErasureSettings()
    check_disjoint([*samples, *earlier], retained)
    if settings.lr is None:
        rate = learning_rate(clm.model.config.hidden_size, settings.method, settings.lora)
        settings = replace(settings, lr=rate)
    run = _Run(clm, [*samples, *earlier], retained, thresholds, settings, unfinished)
    done = run.go(progress, recalibrate)
    return replace(done, samples=len(samples), rechecked=len(earlier))


class _Run:
    def __init__(
        self,
        clm: Clm,
        samples: Sequence[SensitiveSample],
        retained: Sequence[SensitiveSample],
        thresholds: Thresholds,
        settings: ErasureSettings,
        unfinished: Unfinished | None,
    ) -> None:
        self.clm, self.samples, self.settings = clm, samples, settings
        self.rows, _ = forget_rows(clm, samples)
        self.kept = retained_rows(clm, retained)
        self.trained = Trained(
            clm,
            settings.lora,
            precision=settings.precision,
            checkpointing=settings.checkpointing,
            seed=settings.seed,
        )
        kinds = [secret.kind for sample in samples for secret in sample.secrets]
        self.rule = StopRule(kinds, thresholds)
        self.reference = Reference(
            clm,
            self.trained.head,
            self.trained.computing,
            self.trained.original if settings.lora else None,
        )
        if settings.lora is None:
            self.reference.remember([*self.rows, *self.kept])
        self.method = METHODS[settings.method]
        assert settings.lr is not None
        self.lr = settings.lr
        self.limit = settings.step_tokens
        self.optimizer = self._fresh_optimizer()
        self.good: list[torch.Tensor] = []
        self.restored = self.matched = self.looked = 0
        self.falls: deque[float] = deque(maxlen=_GUARDED_STEPS)
        self.rng = random.Random(settings.seed)
        self.history: list[Step] = []
        self.unfinished = unfinished
        self.spent = 0.0

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.trained.parameters, lr=self.lr, betas=self.settings.betas, weight_decay=0.0
        )

    def go(
        self,
        progress: Callable[[Step, int], None] | None,
        recalibrate: Callable[[], Thresholds] | None,
    ) -> Erasure:
        started = time.monotonic()
        reset_peak_memory(self.clm.device)
        kept = self.unfinished.read() if self.unfinished else None
        if kept is not None:
            self._take_up(kept)
        else:
            self.rule.begin(self._probe())
        # What is being healed was suppressed: looked at again, it could be given steps more.
        healing = kept is not None and "healing" in kept
        ended = ERASED if healing else self._suppress(progress, recalibrate, started)
        if ended == ERASED and self.method.heals:
            self._heal(kept, progress, started)
            self.matched = _MATCHINGS
            if not self._is_erased(recalibrate):
                ended = "a secret came back while the CLM was healed"
        peak = peak_memory(self.clm.device)
        return Erasure(
            method=self.settings.method,
            settings={k: v for k, v in asdict(self.settings).items() if k != "method"},
            samples=len(self.samples),
            steps=len(self.history),
            seconds=self.spent + time.monotonic() - started,
            peak_memory_bytes=peak,
            erased=ended == ERASED,
            history=tuple(self.history),
            thresholds=self.rule.thresholds,
            ended=ended,
            adapter=self.trained.finish(),
            restored=self.restored,
        )

    def _suppress(
        self,
        progress: Callable[[Step, int], None] | None,
        recalibrate: Callable[[], Thresholds] | None,
        started: float,
    ) -> str:
        """Step until the stop rule or the guard ends it, and say why it ended."""
        while len(self.history) < self.settings.max_steps:
            step = self._step(len(self.history) + 1)
            if step is None:
                continue
            if not step.active:
                if self._is_erased(recalibrate):
                    return ERASED
                continue
            self.history.append(step)
            if progress is not None:
                progress(step, self._expected())
            fall = self._guarded_fall()
            if fall is not None:
                return f"retained code is predicted {fall:.1%} worse, more than allowed"
            if self.unfinished is not None and self.unfinished.is_due():
                self.unfinished.write(self._state(self.spent + time.monotonic() - started))
        if self._is_erased(recalibrate):
            return ERASED
        return f"the limit of {self.settings.max_steps} steps came first"

    def _heal(
        self,
        kept: dict[str, Any] | None,
        progress: Callable[[Step, int], None] | None,
        started: float,
    ) -> None:
        suppressed = self._state(self.spent + time.monotonic() - started)
        suppressed["parameters"] = self._weights()
        self.optimizer = self._fresh_optimizer()
        self.good = []
        healer = Healer(
            self.clm,
            self.trained,
            self.samples,
            self.kept,
            self.rows,
            self.settings.healing,
            self.settings.seed,
            self.limit,
        )
        last = self.history[-1] if self.history else None

        def tell(step: int, divergence: float) -> None:
            if progress is not None and last is not None:
                number = last.step + step
                done = replace(last, step=number, active=0, retained_kl=divergence, healing=True)
                progress(done, last.step + self.settings.healing.steps)

        def keep(healing: dict[str, Any]) -> None:
            if self.unfinished is not None and self.unfinished.is_due():
                seconds = self.spent + time.monotonic() - started
                self.unfinished.write({**suppressed, "seconds": seconds, "healing": healing})

        healer.heal(tell, kept.get("healing") if kept else None, keep)

    def _expected(self) -> int:
        """How many steps there will be, at the pace at which secrets leave the ascent."""
        done, first, left = len(self.history), self.history[0].active, self.history[-1].active
        limit = self.settings.max_steps
        return min(limit, done + done * left // (first - left)) if left < first else limit

    def _state(self, seconds: float) -> dict[str, Any]:
        """All that the next step depends on, beside the original CLM and what was asked."""
        return {
            "parameters": [p.detach() for p in self.trained.parameters],
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.getstate(),
            "rule": self.rule.state(),
            "falls": list(self.falls),
            "history": [asdict(step) for step in self.history],
            "seconds": seconds,
            **{name: getattr(self, name) for name in _NUMBERS},
        }

    @torch.no_grad()
    def _take_up(self, state: dict[str, Any]) -> None:
        for parameter, weights in zip(self.trained.parameters, state["parameters"], strict=True):
            parameter.copy_(weights)
        for name in _NUMBERS:
            setattr(self, name, state[name])
        self.optimizer = self._fresh_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.setstate(state["rng"])
        self.rule.take_up(state["rule"])
        self.falls.extend(state["falls"])
        self.history = [Step(**step) for step in state["history"]]
        self.spent = state["seconds"]
        self.good = self._weights()

    def _weights(self) -> list[torch.Tensor]:
        return [p.detach().to("cpu", copy=True) for p in self.trained.parameters]

    def _is_erased(self, recalibrate: Callable[[], Thresholds] | None) -> bool:
        """Whether a full probe finds every secret below its thresholds."""
        with self.trained.as_stored():
            if self.method.decoys and self.matched < _MATCHINGS:
                # First: a full probe costs many times as much.
                self.matched += 1
                self.rule.owe(standing_out(self._ranks(), self.settings.batch))
                if self.rule.active:
                    return False
            if recalibrate is not None:
                self.rule.tighten(recalibrate())
            return self.rule.verify(self._probe())

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
        self._look(number)
        forget = self._draw_forget()
        retain = self.rng.sample(self.kept, min(len(forget), len(self.kept)))
        decoys = decoy_rows(self.clm, self.samples, forget, self.rng) if self.method.decoys else []
        while True:
            try:
                return self._train(number, forget, retain, decoys)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, which holds the frames and what they hold.
            self._read_less([*forget, *retain, *decoys])

    def _train(
        self, number: int, forget: list[Row], retain: list[Row], decoys: list[Row]
    ) -> Step | None:
        seen = read_step(self.clm, self.reference, self.trained, forget, retain, decoys, self.limit)
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
            self.good = self._weights()
        seen.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.rule.climbed(active & {owner for row in forget for owner in row.secrets})
        return self._saw(number, len(active), float(loss.detach()), groups.retained)

    def _read_less(self, rows: list[Row]) -> None:
        """Halve how much of a step is read at a time.

        Raises:
            ErasureError: that is a row alone.
        """
        longest = max(len(row.ids) for row in rows)
        limit = min(self.limit or 1 << 60, sum(len(row.ids) for row in rows))
        if limit <= longest:
            raise ErasureError(
                f"{self.clm.name}: a text of {longest} tokens alone does not fit in the memory of "
                f"{self.clm.device}: erase with gradient checkpointing, or with an adapter"
            )
        self.limit = max(longest, limit // 2)
        self.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if self.clm.device.type == "cuda":
            torch.cuda.empty_cache()

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
        for parameter, kept in zip(self.trained.parameters, self.good, strict=True):
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
        self.falls.append(float((retained.known.float() - retained.predicted.float()).mean()))
        return Step(
            number,
            loss,
            active,
            max(accuracy),
            sum(accuracy) / len(accuracy),
            float(retained.divergence()),
            self.falls[-1],
            self.lr,
            self.rule.extracted,
        )

    @torch.no_grad()
    def _look(self, number: int) -> None:
        """Where a step holds a part of what is left alone, look at all of it now and then.

        Else most steps would go to secrets that were erased along with others since they were seen.
        """
        active, batch = self.rule.active, self.settings.batch
        left = [row for row in self.rows if row.secrets & active]
        if number - self.looked < max(_LOOK_EVERY, len(left) // (2 * batch)) or len(left) <= batch:
            return
        self.looked = number
        for start in range(0, len(left), batch):
            rows = left[start : start + batch]
            seen = read_step(self.clm, self.reference, self.trained, rows, [], [], self.limit)
            for secret, accuracy in seen.accuracies().items():
                self.rule.saw(secret, accuracy)

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
