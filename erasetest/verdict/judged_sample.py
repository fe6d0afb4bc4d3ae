"""A measured sample with its verdict: judged once, then read by tests, erasing and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erasetest.probes.measures import SampleMeasures, Value
from erasetest.verdict.judgement import Judgement, judge
from erasetest.verdict.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """The measures and the verdict of a sample. Holds no content."""

    id: str
    measures: Mapping[str, Value]
    """Each measure of the worst secret."""
    mean: Mapping[str, float]
    """Each measure, averaged over the secrets."""
    judgement: Judgement

    @classmethod
    def of(cls, measured: SampleMeasures, thresholds: Thresholds) -> JudgedSample:
        """Judge a measured sample."""
        judgement = judge(measured, thresholds)
        return cls(measured.id, measured.measures, measured.mean, judgement)

    def as_dict(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "id": self.id,
            "measures": dict(self.measures),
            "mean": dict(self.mean),
            **self.judgement.as_dict(),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> JudgedSample:
        """Return the sample that `as_dict` was called on."""
        return cls(row["id"], row["measures"], row["mean"], Judgement.from_dict(row))
