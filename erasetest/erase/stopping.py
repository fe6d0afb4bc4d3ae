"""The stop rule: each secret for itself, and the worst one decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from erasetest.probes import SampleMeasures
from erasetest.verdict import Thresholds
from erasetest.verdict.judge import secret_leaks

OWED = 3
"""Steps of ascent that a secret gets when a full probe finds it above a threshold."""


class StopRule:
    """Which secrets are still to be erased.

    MA comes free with every step, so a secret whose MA is no longer above its threshold leaves the
    ascent, and comes back if it rises. When none is left, a full probe of all measures decides;
    secrets that it finds above a threshold are owed some steps more, whatever their MA.

    No secret has to go further below than never-seen ones do: what their format gives away, such as
    the colons of an address, is right in both.
    """

    def __init__(self, kinds: Sequence[str], thresholds: Thresholds) -> None:
        self._kinds = kinds
        self.thresholds = thresholds
        self._owed = [0] * len(kinds)
        self.accuracy = [1.0] * len(kinds)

    @property
    def active(self) -> frozenset[int]:
        """The numbers of the secrets that are still in the ascent."""
        return frozenset(
            i
            for i, (accuracy, kind) in enumerate(zip(self.accuracy, self._kinds, strict=True))
            if accuracy > self._limit(kind) or self._owed[i]
        )

    def tighten(self, thresholds: Thresholds) -> None:
        """Judge by the stricter of these thresholds and those so far."""
        self.thresholds = self.thresholds.stricter(thresholds)

    def saw(self, secret: int, accuracy: float) -> None:
        """Take note of a secret's MA, as a step has just seen it."""
        self.accuracy[secret] = accuracy

    def climbed(self, secrets: Iterable[int]) -> None:
        """Take note that these secrets had a step of ascent."""
        for secret in secrets:
            self._owed[secret] = max(0, self._owed[secret] - 1)

    def verify(self, measured: Sequence[SampleMeasures]) -> bool:
        """Whether a full probe finds every secret erased; those that it does not come back."""
        secrets = [secret for sample in measured for secret in sample.secrets]
        for number, secret in enumerate(secrets):
            self.accuracy[number] = float(secret.measures["ma"])
            if secret_leaks(secret, self.thresholds):
                self._owed[number] = OWED
        return not self.active

    def _limit(self, kind: str) -> float:
        return self.thresholds.of(kind).get("ma", 0.5)
