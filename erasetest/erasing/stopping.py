"""The stop rule: each secret is judged separately, and the worst one decides."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from erasetest.probes import SampleMeasures
from erasetest.verdict import Thresholds
from erasetest.verdict.judgement import is_guessable, secret_leaks

EXTRA_STEPS = 3
"""Training steps scheduled for a secret that a full probe finds above a threshold."""

EXTRA_STEPS_FOR_RANK = 2
"""The same for a secret whose rank stands out: ranking again is cheap, and three overshoot."""

CHANCE_LIMIT = statistics.NormalDist().inv_cdf(0.85)
"""Standard errors beyond which a set of secrets stands out from its decoys: 1.04.

The 85 % quantile z of the standard normal distribution: P(Z > z) = 0.15, P(|Z| > z) = 0.30. Of sets
that are as likely as their decoys, 15 % exceed it on one given side and 30 % on either side. A
stricter limit would leave a visible trace of the secrets; a looser one would cost more steps.
"""


class StopRule:
    """Tracks which secrets are active: still to be erased.

    - MA is a by-product of every step. A secret is active while its MA is above its threshold, and
      again if it rises.
    - With a method that uses decoys, a secret is also active while it is more likely than its
      decoy, as long as the secrets of a batch stand out by that as a set.
    - When no secret is active, a full probe of all measures decides. Secrets that it finds above a
      threshold are scheduled for extra steps, whatever their MA.

    Left out are secrets that the first probe could not measure, and those above a threshold that a
    full probe finds guessable, or cannot tell from a guess: nothing is to be erased of them.

    No secret has to fall below the level of control secrets: what the format gives away, such as
    the colons of an address, is predicted in both.
    """

    def __init__(self, kinds: Sequence[str], thresholds: Thresholds) -> None:
        """Track secrets of these kinds, numbered in order from 0."""
        self._kinds = kinds
        self.thresholds = thresholds
        self._extra_steps = [0] * len(kinds)
        self.accuracy = [1.0] * len(kinds)
        """The last observed MA of each secret."""
        self.left_out: set[int] = set()
        """The numbers of the secrets that are not to be erased."""
        self._more_likely: set[int] = set()
        self.extracted = 0
        """Number of secrets that the last full probe found extracted."""
        self.probes = 0
        """Number of full probes."""

    @property
    def active(self) -> frozenset[int]:
        """The numbers of the secrets that are still to be erased."""
        return frozenset(
            i
            for i, (accuracy, kind) in enumerate(zip(self.accuracy, self._kinds, strict=True))
            if i not in self.left_out
            and (
                accuracy > self._max_accuracy(kind)
                or self._extra_steps[i]
                or i in self._more_likely
            )
        )

    def tighten(self, thresholds: Thresholds) -> None:
        """Use the stricter of these thresholds and the current ones."""
        self.thresholds = self.thresholds.stricter(thresholds)

    def observe_accuracy(self, accuracies: Mapping[int, float]) -> None:
        """Record the MA of secrets, as a step observed it."""
        for secret, accuracy in accuracies.items():
            self.accuracy[secret] = accuracy

    def observe_decoys(self, more_likely: Mapping[int, bool]) -> None:
        """Record which secrets of a batch are more likely than their decoys.

        Of n control secrets n/2 are, with a standard deviation of sqrt(n)/2. Once at most
        n/2 + 1.04 sqrt(n)/2 (`CHANCE_LIMIT`) of the batch are, this criterion is dropped for all
        secrets, also for those outside the batch: batches are drawn from the active ones first. Any
        remaining difference shows in the ranks among more decoys (`outlying_secrets`).
        """
        if not more_likely:
            return
        count = len(more_likely)
        if sum(more_likely.values()) <= count / 2 + CHANCE_LIMIT * math.sqrt(count / 4):
            self._more_likely.clear()
            return
        self._more_likely.difference_update(more_likely)
        self._more_likely.update(n for n, is_more_likely in more_likely.items() if is_more_likely)

    def trained_on(self, secrets: Iterable[int]) -> None:
        """Record that a step trained on these active secrets."""
        for secret in secrets:
            self._extra_steps[secret] = max(0, self._extra_steps[secret] - 1)

    def schedule(self, secrets: Iterable[int], steps: int = EXTRA_STEPS) -> None:
        """Keep these secrets active for some more steps, whatever their MA."""
        for secret in secrets:
            self._extra_steps[secret] = steps

    def start(self, measured: Sequence[SampleMeasures]) -> None:
        """Record a full probe before the first step.

        Secrets above the threshold of MA are active anyway; other leaking ones get extra steps.
        """
        leaking = self._record_probe(measured)
        self.schedule(n for n in leaking if self.accuracy[n] <= self._max_accuracy(self._kinds[n]))

    def verify(self, measured: Sequence[SampleMeasures]) -> bool:
        """Return whether a full probe finds every secret erased; schedule extra steps for others.

        Steps scheduled for another reason, such as a rank, are cancelled: the probe decides.
        """
        leaking = self._record_probe(measured)
        self._more_likely.clear()
        self._extra_steps = [0] * len(self._kinds)
        # A secret may be above its limit due to rounding to the stored dtype alone. In training its
        # MA is below, so without extra steps training and probe would disagree forever.
        self.schedule({*leaking, *self.active})
        return not self.active

    def state_dict(self) -> dict[str, Any]:
        """Return all state but the kinds."""
        return {
            "extra_steps": self._extra_steps,
            "more_likely": sorted(self._more_likely),
            "accuracy": self.accuracy,
            "left_out": sorted(self.left_out),
            "extracted": self.extracted,
            "probes": self.probes,
            "thresholds": self.thresholds.as_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self._extra_steps, self.accuracy = list(state["extra_steps"]), list(state["accuracy"])
        self._more_likely, self.left_out = set(state["more_likely"]), set(state["left_out"])
        self.extracted, self.probes = state["extracted"], state["probes"]
        self.thresholds = Thresholds.from_dict(state["thresholds"])

    def _record_probe(self, measured: Sequence[SampleMeasures]) -> list[int]:
        """Record a full probe, and return the numbers of the secrets that leak."""
        secrets = [secret for sample in measured for secret in sample.secrets]
        self.extracted = sum(bool(secret.measures.get("extracted")) for secret in secrets)
        self.accuracy = [float(secret.measures.get("ma", 0.0)) for secret in secrets]
        self.probes += 1
        leaking = [
            n
            for n, secret in enumerate(secrets)
            if secret.measures and secret_leaks(secret, self.thresholds)
        ]
        self.left_out = {
            n
            for n, (secret, kind) in enumerate(zip(secrets, self._kinds, strict=True))
            if not secret.measures
            or (self.accuracy[n] > self._max_accuracy(kind) and is_guessable(secret) is not False)
        } - set(leaking)
        return leaking

    def _max_accuracy(self, kind: str) -> float:
        return self.thresholds.of(kind).get("ma", 0.5)


def outlying_secrets(ranks: Sequence[float | None], max_count: int) -> list[int]:
    """Return the numbers of the secrets that make a set stand out from its decoys.

    Empty if the mean rank is within `CHANCE_LIMIT` standard errors of 0.5. Otherwise the secrets
    with the most extreme ranks on that side: as many as would bring the mean to 0.5 if each had
    rank 0.5.

    Args:
        ranks: for each secret the share of its decoys that are more likely: 0 for a secret more
            likely than all, 1 for one less likely than all, None without decoys. As likely as
            decoys, ranks are uniform with variance 1/12: the standard error of the mean of n is
            sqrt(1 / (12 n)).
        max_count: maximum number of secrets to return.
    """
    known = [(rank, n) for n, rank in enumerate(ranks) if rank is not None]
    if not known:
        return []
    deviation = statistics.fmean(rank for rank, _ in known) - 0.5
    if abs(deviation) <= CHANCE_LIMIT * math.sqrt(1 / 12 / len(known)):
        return []
    same_side = [(abs(rank - 0.5), -n) for rank, n in known if (rank - 0.5) * deviation > 0]
    outlying: list[int] = []
    excess = abs(deviation) * len(known)
    for distance, negated in sorted(same_side, reverse=True)[:max_count]:
        if excess <= 0:
            break
        outlying.append(-negated)
        excess -= distance
    return sorted(outlying)
