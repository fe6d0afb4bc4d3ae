"""What to measure for verdicts alone: nothing that cannot decide one."""

from __future__ import annotations

from erasetest.probes import ProbeSettings
from erasetest.verdict.thresholds import DECISIVE, Thresholds

DECISIVE_NGRAMS = tuple(
    int(name.removeprefix("el_")) for name in DECISIVE if name.startswith("el_")
)
"""Lengths n of the n-grams whose EL_n verdicts depend on."""


def verdict_settings(thresholds: Thresholds) -> ProbeSettings:
    """Return settings under which nothing is measured that decides no verdict.

    Secrets are asked for with the prompts of the thresholds. EL is measured where it may exceed a
    threshold, and controls for what may leak.
    """
    rows = [thresholds.any_kind, *(thresholds.of(kind) for kind in thresholds.kinds)]
    limits = [row[f"el_{n}"] for row in rows for n in DECISIVE_NGRAMS if f"el_{n}" in row]
    return ProbeSettings(
        ngrams=DECISIVE_NGRAMS,
        el_limit=min(limits, default=1.0),
        ma_limit=min((row["ma"] for row in rows if "ma" in row), default=1.0),
        queries_limit=thresholds.queries_limit,
        prompts=thresholds.prompts,
    )
