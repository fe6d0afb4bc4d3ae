"""The stop rule: each secret for itself, and the worst one decides."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from erasetest.probes import SampleMeasures
from erasetest.verdict import Thresholds
from erasetest.verdict.judgement import secret_leaks

OWED = 3
"""Steps of ascent that a secret gets when a full probe finds it above a threshold."""

OWED_FOR_RANK = 2
"""The same when its rank stands out: looking again is cheap, and three overshoot."""

_FAR = statistics.NormalDist().inv_cdf(0.85)
"""Standard deviations of chance from which a set stands out."""


class StopRule:
    """Which secrets are still to be erased.

    MA comes free with every step, so a secret whose MA is no longer above its threshold leaves the
    ascent, and comes back if it rises. Where steps have decoys, it stays for as long as it is
    likelier than its decoy, and the secrets of a step stand out by that as a set. When none is
    left, a full probe of all measures decides; secrets that it finds above a threshold are owed
    some steps more, whatever their MA.

    No secret has to go further below than never-seen ones do: what their format gives away, such as
    the colons of an address, is right in both.
    """

    def __init__(self, kinds: Sequence[str], thresholds: Thresholds) -> None:
        self._kinds = kinds
        self.thresholds = thresholds
        self._owed = [0] * len(kinds)
        self.accuracy = [1.0] * len(kinds)
        self._likelier: set[int] = set()
        self.extracted = 0
        """Secrets that the last full probe found extracted."""

    @property
    def active(self) -> frozenset[int]:
        """The numbers of the secrets that are still in the ascent."""
        return frozenset(
            i
            for i, (accuracy, kind) in enumerate(zip(self.accuracy, self._kinds, strict=True))
            if accuracy > self._limit(kind) or self._owed[i] or i in self._likelier
        )

    def tighten(self, thresholds: Thresholds) -> None:
        """Judge by the stricter of these thresholds and those so far."""
        self.thresholds = self.thresholds.stricter(thresholds)

    def observe(self, accuracies: Mapping[int, float]) -> None:
        """Take note of the MA of secrets, as a step has just seen them."""
        for secret, accuracy in accuracies.items():
            self.accuracy[secret] = accuracy

    def compared(self, likelier: Mapping[int, bool]) -> None:
        """Take note of which secrets of a step are likelier than their decoys.

        Of n never-seen ones, half are, give or take sqrt(1 / (4 n)) of them. As soon as a step's
        secrets are within 1.04 of these, none is kept in the ascent for that, seen in this step or
        not: a step draws those first that are still in it. What is left, the ranks among more
        decoys show (`standing_out`).
        """
        if not likelier:
            return
        count = len(likelier)
        if sum(likelier.values()) <= count / 2 + _FAR * math.sqrt(count / 4):
            self._likelier.clear()
            return
        self._likelier.difference_update(likelier)
        self._likelier.update(secret for secret, is_likelier in likelier.items() if is_likelier)

    def climbed(self, secrets: Iterable[int]) -> None:
        """Take note that these secrets had a step of ascent."""
        for secret in secrets:
            self._owed[secret] = max(0, self._owed[secret] - 1)

    def owe(self, secrets: Iterable[int], steps: int = OWED) -> None:
        """Give these secrets some steps more, whatever their MA."""
        for secret in secrets:
            self._owed[secret] = steps

    def begin(self, measured: Sequence[SampleMeasures]) -> None:
        """Take note of a full probe before the first step.

        Those above the threshold of MA are in the ascent by that; what else leaks is owed steps.
        """
        leaking = self._leaking(measured)
        self.owe(n for n in leaking if self.accuracy[n] <= self._limit(self._kinds[n]))

    def _leaking(self, measured: Sequence[SampleMeasures]) -> list[int]:
        """Take note of a full probe; the numbers of the secrets that leak."""
        secrets = [secret for sample in measured for secret in sample.secrets]
        self.extracted = sum(bool(secret.measures.get("extracted")) for secret in secrets)
        self.accuracy = [float(secret.measures["ma"]) for secret in secrets]
        return [n for n, secret in enumerate(secrets) if secret_leaks(secret, self.thresholds)]

    def verify(self, measured: Sequence[SampleMeasures]) -> bool:
        """Whether a full probe finds every secret erased; those that it does not come back.

        Steps for anything else, such as a rank, are no longer due: the probe decides.
        """
        leaking = self._leaking(measured)
        self._likelier.clear()
        self._owed = [0] * len(self._kinds)
        # What rounding alone lifts above its limit is owed steps as well: in training it is below.
        self.owe({*leaking, *self.active})
        return not self.active

    def state(self) -> dict[str, Any]:
        """All that it depends on beside the kinds."""
        return {
            "owed": self._owed,
            "likelier": sorted(self._likelier),
            "accuracy": self.accuracy,
            "extracted": self.extracted,
            "thresholds": self.thresholds.as_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._owed, self.accuracy = list(state["owed"]), list(state["accuracy"])
        self._likelier = set(state["likelier"])
        self.extracted = state["extracted"]
        self.thresholds = Thresholds.from_dict(state["thresholds"])

    def _limit(self, kind: str) -> float:
        return self.thresholds.of(kind).get("ma", 0.5)


def standing_out(ranks: Sequence[float | None], most: int) -> list[int]:
    """The numbers of secrets that make a set stand out among never-seen ones; none if it does not.

    A rank is the share of a secret's decoys that are likelier than it: 0 where the secret is the
    likeliest, 1 where it is the least likely, None where it has no decoys. By chance the mean of n
    ranks is 0.5 give or take sqrt(1 / (12 n)); where it is off by more than 1.04 of these (three
    in ten never-seen sets are), the secrets furthest off on that side are told, as many as would
    bring the mean to 0.5 if each came to it; `most` at most.
    """
    known = [(rank, n) for n, rank in enumerate(ranks) if rank is not None]
    if not known:
        return []
    off = statistics.fmean(rank for rank, _ in known) - 0.5
    if abs(off) <= _FAR * math.sqrt(1 / 12 / len(known)):
        return []
    side = [(abs(rank - 0.5), -n) for rank, n in known if (rank - 0.5) * off > 0]
    told: list[int] = []
    missing = abs(off) * len(known)
    for distance, n in sorted(side, reverse=True)[:most]:
        if missing <= 0:
            break
        told.append(-n)
        missing -= distance
    return sorted(told)
