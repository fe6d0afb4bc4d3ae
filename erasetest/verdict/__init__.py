"""Verdicts: which measures of a secret are above what never-seen secrets stay under.

Judging needs no torch; `calibrate` imports it when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from erasetest.verdict.judge import Judgement, judge
from erasetest.verdict.published import published
from erasetest.verdict.thresholds import Thresholds, read_thresholds

if TYPE_CHECKING:
    from erasetest.verdict.calibration import calibrate

__all__ = ["Judgement", "Thresholds", "calibrate", "judge", "published", "read_thresholds"]


def __getattr__(name: str) -> Any:
    if name == "calibrate":
        from erasetest.verdict.calibration import calibrate

        return calibrate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
