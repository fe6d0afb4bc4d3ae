"""How a corpus is scanned."""

from __future__ import annotations

from dataclasses import dataclass, field

from erasetest.scanning.detect_secrets_baseline import Baseline
from erasetest.scanning.document import Confidence
from erasetest.scanning.sources import Columns


@dataclass(frozen=True, slots=True)
class Rules:
    """Which findings count.

    Attributes:
        min_confidence: minimum confidence of a finding.
        baseline: a detect-secrets baseline whose secrets do not count.
    """

    min_confidence: Confidence = "low"
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How a corpus is scanned.

    Attributes:
        rules: which findings count.
        revision: git revision at which the given repositories are scanned; None scans files.
        columns: columns of data sets; None uses the usual names.
        near_duplicates: whether to keep near duplicates: samples with the same secrets whose code
            is nearly the same.
        limit: maximum number of samples, drawn at random and as evenly over kinds as possible.
        seed: seed of that draw.
        processes: number of worker processes.
    """

    rules: Rules = field(default_factory=Rules)
    revision: str | None = None
    columns: Columns | None = None
    near_duplicates: bool = False
    limit: int | None = None
    seed: int = 0
    processes: int = 1
