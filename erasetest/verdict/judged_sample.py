"""A measured sample with its verdict: judged once, then read by tests, erasing and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erasetest.probes.measures import SampleMeasures
from erasetest.verdict.judgement import Judgement, judge
from erasetest.verdict.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """The measures and the verdict of a sample. Holds no content."""

    measured: SampleMeasures
    judgement: Judgement

    @classmethod
    def of(cls, measured: SampleMeasures, thresholds: Thresholds) -> JudgedSample:
        """Judge a measured sample."""
        return cls(measured, judge(measured, thresholds))

    @property
    def id(self) -> str:
        """The id of the sample."""
        return self.measured.id

    def as_dict(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {**self.measured.as_dict(), **self.judgement.as_dict()}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> JudgedSample:
        """Return the sample that `as_dict` was called on."""
        return cls(SampleMeasures.from_dict(row), Judgement.from_dict(row))
