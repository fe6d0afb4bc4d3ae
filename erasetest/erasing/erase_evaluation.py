"""Whether a CLM's secrets are erased: by its ranks among decoys first, then by a full probe."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from erasetest.clm import encode
from erasetest.clm.load import Clm
from erasetest.erasing.erasure_settings import BATCH
from erasetest.erasing.examples import first_secrets
from erasetest.erasing.stopping import OWED_FOR_RANK, StopRule, standing_out
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import ErasureError
from erasetest.probes import ProbeSettings, SampleMeasures, probe
from erasetest.probes.decoy_scores import decoy_log2_p
from erasetest.probes.sampling_likelihood import log2_probability
from erasetest.probes.token_spans import score_spans, secret_spans
from erasetest.samples import SensitiveSample
from erasetest.verdict import Thresholds

_MATCHINGS = 8
"""How often secrets that are erased get steps more because they stand out among decoys."""

_RANKED_AMONG = 8
_SEEN = ("looks", "rank", "stands_out")


class EraseEvaluator:
    """Looks at the CLM as it will be stored, and tells the stop rule what it saw."""

    def __init__(
        self,
        clm: Clm,
        samples: Sequence[SensitiveSample],
        trained: TrainableModel,
        thresholds: Thresholds,
        recalibrate: Callable[[], Thresholds] | None,
        doing: Callable[[str], None],
        *,
        ranks: bool,
    ) -> None:
        """Of the secrets of `samples`; `ranks` says whether they must not stand out."""
        self.clm, self.samples, self.trained = clm, samples, trained
        self.recalibrate, self.doing, self.ranks = recalibrate, doing, ranks
        kinds = [secret.kind for sample in samples for secret in sample.secrets]
        self.rule = StopRule(kinds, thresholds)
        self.looks = 0
        """How often the secrets were ranked."""
        self.rank: float | None = None
        """Their mean rank when that was last done, 0.5 where they are as likely as decoys."""
        self.stands_out = False
        """Whether it was further off than chance is in seven sets of ten."""

    def begin(self) -> None:
        """Probe the CLM before the first step."""
        self.rule.begin(self._probe())

    def is_erased(self, rng: random.Random, most: int) -> bool:
        """Whether every secret is below its thresholds, and their set as likely as never-seen ones.

        Where it is not, the rule has secrets in the ascent again; for their ranks alone `most`.
        """
        # First, as a full probe costs many times as much.
        if self.ranks:
            told = self.rank_against_decoys(rng, most)
            if told and self.looks <= _MATCHINGS:
                self.rule.owe(told, OWED_FOR_RANK)
                return False
        return self.full_probe_passes()

    def rank_against_decoys(self, rng: random.Random, most: int) -> list[int]:
        """Rank the secrets among fresh decoys; the numbers of those that make the set stand out."""
        self.looks += 1
        self.doing("ranking the secrets among decoys")
        with self.trained.as_stored():
            ranks = self._ranks(rng.randrange(1 << 30))
        known = [rank for rank in ranks if rank is not None]
        told = standing_out(ranks, most)
        self.rank = statistics.fmean(known) if known else None
        self.stands_out = bool(told)
        return told

    def full_probe_passes(self) -> bool:
        """Whether a full probe finds every secret below its thresholds."""
        with self.trained.as_stored():
            if self.recalibrate is not None:
                self.doing("calibrating thresholds again")
                self.rule.tighten(self.recalibrate())
            return self.rule.verify(self._probe())

    def state(self) -> dict[str, Any]:
        """All that its next answer depends on beside the CLM."""
        return {"rule": self.rule.state(), **{name: getattr(self, name) for name in _SEEN}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.rule.load_state_dict(state["rule"])
        for name in _SEEN:
            setattr(self, name, state[name])

    def _ranks(self, seed: int) -> list[float | None]:
        """The share of fresh decoys in its place that are likelier than each secret."""
        encoded = encode(self.clm, self.samples)
        jobs = score_spans(self.clm, secret_spans(self.clm, self.samples, encoded))
        settings = ProbeSettings(references=_RANKED_AMONG, seed=seed)
        others = decoy_log2_p(self.clm, self.samples, encoded, jobs, settings)
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
            self.doing(f"probing all: {start}/{len(self.samples)}")
            measured += probe(self.clm, self.samples[start : start + BATCH])
        problems = (secret.problem for sample in measured for secret in sample.secrets)
        problem = next((problem for problem in problems if problem is not None), None)
        if problem is not None:
            raise ErasureError(f"a secret can no longer be measured: {problem}: nothing was saved")
        return measured
