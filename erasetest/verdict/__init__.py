"""Verdicts: whether a measure of a secret exceeds the threshold that control secrets stay below.

Judging needs no torch; `calibrate` imports it on first use.
"""

from typing import TYPE_CHECKING

from erasetest.support.lazy_exports import lazy_exports
from erasetest.verdict.judgement import Judgement, Reason, judge
from erasetest.verdict.paper_thresholds import published
from erasetest.verdict.thresholds import Thresholds, read_thresholds

if TYPE_CHECKING:
    from erasetest.verdict.calibration import calibrate

__all__ = [
    "Judgement",
    "Reason",
    "Thresholds",
    "calibrate",
    "judge",
    "published",
    "read_thresholds",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "calibrate": "calibration",
    },
)
