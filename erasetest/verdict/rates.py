"""Rates of wrong verdicts, with their confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Proportion:
    """How many of how many, and the exact two-sided 95 % confidence interval of the share."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """The share that was seen; 0 of none."""
        return self.count / self.of if self.of else 0.0

    @property
    def interval_95(self) -> tuple[float, float]:
        """Clopper and Pearson's: the shares for which what was seen is not rarer than 2.5 %."""
        tail = (1 - CONFIDENCE) / 2
        low = (
            0.0
            if not self.count
            else _solve(lambda p: 1 - _at_most(self.count - 1, self.of, p), tail)
        )
        high = (
            1.0
            if self.count == self.of
            else _solve(lambda p: -_at_most(self.count, self.of, p), -tail)
        )
        return low, high

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files."""
        return {
            "count": self.count,
            "of": self.of,
            "rate": self.share,
            "interval_95": list(self.interval_95),
        }


def _at_most(k: int, n: int, p: float) -> float:
    """Probability of k or fewer of n, each with probability p."""
    if p <= 0:
        return 1.0
    if p >= 1:
        return float(k >= n)
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1)
        + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))


def _solve(rising: Any, value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return (low + high) / 2
