"""Verdicts: which measures of a secret are above what never-seen secrets stay under."""

from erasetest.verdict.calibrate import calibrate
from erasetest.verdict.judge import Judgement, judge
from erasetest.verdict.published import published
from erasetest.verdict.thresholds import Thresholds, read_thresholds

__all__ = ["Judgement", "Thresholds", "calibrate", "judge", "published", "read_thresholds"]
