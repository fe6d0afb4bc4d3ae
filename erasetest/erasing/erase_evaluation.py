"""Evaluation between steps: ranks of the secrets among decoys first, then a full probe."""

from __future__ import annotations

import math
import random
import statistics
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from erasetest.clm.model import Clm
from erasetest.erasing.erasure_settings import BATCH
from erasetest.erasing.stopping import EXTRA_STEPS_FOR_RANK, StopRule, outlying_secrets
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import BadInput, ClmWarning, ErasureError
from erasetest.probes import SampleMeasures, probe
from erasetest.probes.decoy_scores import decoy_log2_p
from erasetest.probes.prompts import secret_prompts
from erasetest.probes.sampling_likelihood import log2_probability
from erasetest.probes.token_spans import score_spans
from erasetest.samples import SensitiveSample
from erasetest.verdict import Thresholds
from erasetest.verdict.verdict_settings import verdict_settings

_MAX_RANKINGS = 8
"""Number of times that extra steps are scheduled because of ranks; then the full probe decides."""

_DECOYS = 8
"""Number of decoys that each secret is ranked among."""

_STATE = ("rankings", "rank", "stands_out")


class EraseEvaluator:
    """Evaluates the model as it would be stored, and updates the stop rule."""

    def __init__(
        self,
        clm: Clm,
        samples: Sequence[SensitiveSample],
        trainable: TrainableModel,
        thresholds: Thresholds,
        recalibrate: Callable[[], Thresholds] | None,
        doing: Callable[[str], None],
        *,
        ranks: bool,
    ) -> None:
        """Evaluate the secrets of samples.

        Args:
            clm: the CLM that is being erased.
            samples: their secrets are evaluated.
            trainable: the same CLM as it is trained.
            thresholds: the initial thresholds.
            recalibrate: computes the thresholds of the current CLM; None keeps the initial ones.
            doing: receives a description of what takes time.
            ranks: whether the set of secrets must not stand out from decoys.
        """
        self.clm, self.samples, self.trainable = clm, samples, trainable
        self.recalibrate, self.doing, self.ranks = recalibrate, doing, ranks
        kinds = [secret.kind for sample in samples for secret in sample.secrets]
        self.rule = StopRule(kinds, thresholds)
        self.rankings = 0
        """Number of times that the secrets were ranked."""
        self.rank: float | None = None
        """Mean rank at the last ranking: 0.5 if the secrets are as likely as decoys."""
        self.stands_out = False
        """Whether that is more than `CHANCE_LIMIT` standard errors from 0.5."""

    def start(self) -> None:
        """Probe the CLM before the first step, and say what is left out.

        Raises:
            BadInput: no secret can be measured.
        """
        measured = self._probe()
        self.rule.start(measured)
        secrets = [secret for sample in measured for secret in sample.secrets]
        problems = [secret.problem for secret in secrets if secret.problem is not None]
        if len(problems) == len(secrets):
            raise BadInput(f"no secret of these samples can be measured: {problems[0]}")
        if problems:
            warnings.warn(
                f"{len(problems)} of {len(secrets)} secrets cannot be measured, and are not "
                f"erased: {problems[0]}",
                ClmWarning,
                stacklevel=2,
            )

    def is_erased(self, rng: random.Random, max_secrets: int) -> bool:
        """Return whether every secret is below its thresholds, and the set is as likely as decoys.

        If not, extra steps are scheduled; because of ranks for at most `max_secrets` secrets.
        """
        # Ranks first: a full probe costs many times as much.
        if self.ranks:
            outlying = self.rank_against_decoys(rng, max_secrets)
            if outlying and self.rankings <= _MAX_RANKINGS:
                self.rule.schedule(outlying, EXTRA_STEPS_FOR_RANK)
                return False
        return self.full_probe_passes()

    def rank_against_decoys(self, rng: random.Random, max_secrets: int) -> list[int]:
        """Rank the secrets among fresh decoys; return those that make the set stand out."""
        self.rankings += 1
        self.doing("ranking the secrets among decoys")
        with self.trainable.as_stored():
            ranks = self.secret_ranks(rng.randrange(1 << 30))
        known = [rank for rank in ranks if rank is not None]
        outlying = outlying_secrets(ranks, max_secrets)
        self.rank = statistics.fmean(known) if known else None
        self.stands_out = bool(outlying)
        return outlying

    def full_probe_passes(self) -> bool:
        """Return whether a full probe finds every secret below its thresholds."""
        with self.trainable.as_stored():
            if self.recalibrate is not None:
                self.doing("recalibrating thresholds")
                self.rule.tighten(self.recalibrate())
            return self.rule.verify(self._probe())

    def secret_ranks(self, seed: int) -> list[float | None]:
        """Return for each secret the share of fresh decoys, in its place, that are more likely.

        Of a secret and of each decoy, the most likely prompt counts.
        """
        asked = [one for of_sample in secret_prompts(self.clm, self.samples) for one in of_sample]
        measured = {
            id(span)
            for span in score_spans(self.clm, [s for one in asked for s in one.clean.values()])
        }
        prompts = [[s for s in one.clean.values() if id(s) in measured] for one in asked]
        decoy_scores = decoy_log2_p(self.clm, prompts, count=_DECOYS, seed=seed)
        ranks: list[float | None] = []
        for spans, scores in zip(prompts, decoy_scores, strict=True):
            own = max((log2_probability(s.scores.log_probs) for s in spans), default=-math.inf)
            compared = [(score > own) + (score == own) / 2 for score in scores]
            ranks.append(statistics.fmean(compared) if compared else None)
        return ranks

    def state_dict(self) -> dict[str, Any]:
        """Return all state but the CLM's weights."""
        return {"rule": self.rule.state_dict(), **{name: getattr(self, name) for name in _STATE}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.rule.load_state_dict(state["rule"])
        for name in _STATE:
            setattr(self, name, state[name])

    def _probe(self) -> list[SampleMeasures]:
        settings = verdict_settings(self.rule.thresholds)
        measured: list[SampleMeasures] = []
        for start in range(0, len(self.samples), BATCH):
            self.doing(f"full probe: {start}/{len(self.samples)} samples")
            measured += probe(self.clm, self.samples[start : start + BATCH], settings=settings)
        secrets = [secret for sample in measured for secret in sample.secrets]
        for number, secret in enumerate(secrets):
            if secret.problem is not None and self.rule.probes and number not in self.rule.left_out:
                raise ErasureError(
                    f"a secret can no longer be measured: {secret.problem}: nothing was saved"
                )
        return measured
