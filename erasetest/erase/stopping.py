"""The stop rule: each secret for itself, and the worst one decides."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.probes import SampleMeasures
from erasetest.verdict import Thresholds
from erasetest.verdict.judge import secret_leaks


class StopRule:
    """Which secrets are still to be erased.

    MA comes free with every step, so a secret whose MA is below `margin` times its threshold leaves
    the ascent and comes back if it rises. When none is left, a full probe of all measures decides;
    secrets that it finds above a threshold come back with half the MA limit.
    """

    def __init__(self, kinds: Sequence[str], thresholds: Thresholds, margin: float = 0.9) -> None:
        self._limits = [margin * thresholds.of(kind).get("ma", 0.5) for kind in kinds]
        self._thresholds = thresholds
        self._active = [True] * len(kinds)
        self.accuracy = [1.0] * len(kinds)

    @property
    def active(self) -> frozenset[int]:
        """The numbers of the secrets that are still in the ascent."""
        return frozenset(i for i, on in enumerate(self._active) if on)

    def saw(self, secret: int, accuracy: float) -> None:
        """Take note of a secret's MA, as a step has just seen it."""
        self.accuracy[secret] = accuracy
        self._active[secret] = accuracy > self._limits[secret]

    def verify(self, measured: Sequence[SampleMeasures]) -> bool:
        """Whether a full probe finds every secret erased; those that it does not come back."""
        secrets = [secret for sample in measured for secret in sample.secrets]
        for number, secret in enumerate(secrets):
            self.accuracy[number] = float(secret.measures["ma"])
            if secret_leaks(secret, self._thresholds):
                self._limits[number] /= 2
                self._active[number] = True
        return not self.active
