"""The training loop of erasing: one code path for the command and the plugin."""

from __future__ import annotations

import itertools
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
from erasetest.clm.batching import like_lengths, pad_right
from erasetest.clm.load import Clm
from erasetest.clm.score import head, hidden_states
from erasetest.decoys import with_decoys
from erasetest.erase.objectives import METHODS, Groups, Tokens, Weights
from erasetest.erase.reference import Reference
from erasetest.erase.rows import (
    CONTEXT,
    ELSEWHERE,
    Owners,
    Row,
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
from erasetest.samples import Secret, SensitiveSample
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
        self.first_secret = list(
            itertools.accumulate((len(sample.secrets) for sample in samples), initial=0)
        )
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
        cuda = self.clm.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.clm.device)
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
        peak = torch.cuda.max_memory_allocated(self.clm.device) if cuda else None
        return Erasure(
            method=self.settings.method,
            settings={k: v for k, v in asdict(self.settings).items() if k != "method"},
            samples=len(self.samples),
            steps=len(history),
            seconds=time.monotonic() - started,
            peak_memory_bytes=peak,
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
        ranks: list[float | None] = [None] * self.first_secret[-1]
        for job, references in zip(jobs, others, strict=True):
            own = log2_probability(job.found.log_probs)
            if references:
                ranks[self.first_secret[job.sample] + job.secret] = statistics.fmean(
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
        seen = self._forward(forget, retain, self._draw_decoys(forget))
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

    def _draw_decoys(self, forget: list[Row]) -> list[Row]:
        """Fresh decoys in the places of the secrets of these rows, for a method that reads them.

        Their tokens are owned by the secrets that they stand for.
        """
        if not self.method.decoys:
            return []
        numbers = list(dict.fromkeys(row.sample for row in forget))
        drawn = [with_decoys(self.samples[number], "decoy", self.rng) for number in numbers]
        pairs = [pair for pair in zip(numbers, drawn, strict=True) if pair[1].secrets]
        stands_for = [
            self.first_secret[number] + _place(self.samples[number], decoy)
            for number, sample in pairs
            for decoy in sample.secrets
        ]
        rows, _ = forget_rows(self.clm, [sample for _, sample in pairs])
        return [
            replace(
                row, owners=tuple(frozenset(stands_for[n] for n in o if n >= 0) for o in row.owners)
            )
            for row in rows
        ]

    def _forward(self, forget: list[Row], retain: list[Row], decoys: list[Row]) -> _Seen:
        """One pass over all rows of a step; of decoys, the secret's tokens alone are needed."""
        kept = [*forget, *retain]
        places = [torch.arange(len(row.ids) - 1) for row in kept]
        places += [
            torch.tensor([i for i, owners in enumerate(row.owners[1:]) if owners]) for row in decoys
        ]
        states = self._states([*kept, *decoys], places)
        current = head(self.clm, torch.cat(states)).log_softmax(-1)
        truth = torch.cat(
            [
                torch.tensor(row.ids)[at + 1]
                for row, at in zip([*kept, *decoys], places, strict=True)
            ]
        ).to(self.clm.device)
        sizes = [
            sum(map(len, part))
            for part in (
                places[: len(forget)], places[len(forget) : len(kept)], places[len(kept) :]
            )
        ]  # fmt: skip
        now, true = current.split(sizes), truth.split(sizes)
        before = self.reference.log_probs(kept, places[: len(kept)]).split(sizes[:2])
        return _Seen(
            Tokens(now[0], before[0], true[0]),
            [owners for row in forget for owners in row.owners[1:]],
            Tokens(now[1], before[1], true[1]),
            Tokens(now[2], now[2].detach(), true[2], self._owners_of(decoys)),
        )

    def _owners_of(self, rows: list[Row]) -> torch.Tensor:
        """The secret that each token of decoys stands for; of several in an overlap, the first."""
        owners = [min(o) for row in rows for o in row.owners[1:] if o]
        return torch.tensor(owners, dtype=torch.long, device=self.clm.device)

    def _states(self, rows: list[Row], places: list[torch.Tensor]) -> list[torch.Tensor]:
        """The last hidden states of rows at these places, (places, width) each."""
        found: dict[int, torch.Tensor] = {}
        for group in like_lengths([len(row.ids) for row in rows], turn=self.clm.first_window):
            ids = pad_right([rows[i].ids for i in group], self.clm.start_token, self.clm.device)
            hidden = hidden_states(self.clm, ids)
            assert hidden is not None
            for i, states in zip(group, hidden, strict=True):
                found[i] = states[places[i].to(self.clm.device)]
        return [found[i] for i in range(len(rows))]


def _place(sample: SensitiveSample, decoy: Secret) -> int:
    """Which of a sample's secrets a decoy stands for: it has the place and the kind of it."""
    spans = [(secret.start, secret.end, secret.kind) for secret in sample.secrets]
    return spans.index((decoy.start, decoy.end, decoy.kind))


@dataclass(frozen=True, slots=True)
class _Seen:
    """The tokens of a step, and the secrets that each token of the samples belongs to."""

    samples: Tokens
    owners: list[Owners]
    retained: Tokens
    decoys: Tokens

    def is_finite(self) -> bool:
        """Whether the CLM still gives numbers for what stands there."""
        return all(bool(t.loss().isfinite()) for t in (self.samples, self.retained, self.decoys))

    def groups(self, active: frozenset[int]) -> Groups:
        """With the secrets that are still to be erased."""
        device = self.samples.truth.device
        number = torch.tensor([min(o & active, default=-1) for o in self.owners], device=device)
        context = torch.tensor([o == CONTEXT for o in self.owners], device=device)
        return Groups(
            replace(self.samples, owners=number).where(number >= 0),
            self.samples.where(context),
            self.retained,
            self.decoys,
        )

    def accuracies(self) -> dict[int, float]:
        """The MA of each secret of the samples."""
        hits: dict[int, list[bool]] = {}
        for owners, hit in zip(self.owners, self.samples.predicted().tolist(), strict=True):
            for secret in owners - ELSEWHERE:
                hits.setdefault(secret, []).append(hit)
        return {secret: sum(found) / len(found) for secret, found in hits.items()}
