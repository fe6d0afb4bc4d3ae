"""A complete report of a tiny CLM."""

from __future__ import annotations

import json
from typing import Any

import tiny

from erasetest.erasing import ErasureSettings, erase
from erasetest.probes import probe
from erasetest.reports import Report, environment
from erasetest.reports.leakage_report import sample_rows
from erasetest.samples import Source, make_sample
from erasetest.utility import UtilityScore, utility_report
from erasetest.utility.scoring import Tally
from erasetest.verdict import Thresholds
from erasetest.verdict.judged_sample import JudgedSample

LIMITS = Thresholds(
    "test", {"ma": 0.9, "el_3": 1.0, "el_5": 1.0, "el_10": 1.0}, {"email": {"ma": 0.95}}, {"jwt": 3}
)


def scores() -> tuple[UtilityScore, UtilityScore]:
    before, after = (
        UtilityScore(
            10,
            [
                Tally(f"t/{i}", {"passed": c, "failed": 10 - c, "timeout": 0}, 10, 0.0)
                for i, c in enumerate(passed)
            ],
            (),
        )
        for passed in ((9, 10), (8, 10))
    )
    return before, after


def make_document() -> dict[str, Any]:
    """Return the report of a tiny CLM: probed, erased for two steps, probed again."""
    clm = tiny.reciting("qwen2")
    samples = [
        *tiny.PLANTED,
        make_sample("k = 'zzz'", [(5, 8, "word")], id="elsewhere", source=Source("a/b.py", 7)),
    ]
    before = {m.id: JudgedSample.of(m, LIMITS) for m in probe(clm, samples[:-1])}
    described = clm.describe()
    erasure = erase(clm, tiny.PLANTED[:2], tiny.RETAINED, LIMITS, ErasureSettings(max_steps=2))
    after = {m.id: JudgedSample.of(m, LIMITS) for m in probe(clm, tiny.PLANTED[:2])}
    report = Report(
        clm=described,
        thresholds=LIMITS.as_dict(),
        samples=sample_rows(samples, before, after),
        erasure=erasure.as_dict("out/clm"),
        utility=utility_report(*scores()),
        environment=environment(),
        problems=["1 samples are inconclusive: elsewhere"],
        verdict="leaks",
    )
    return report.as_dict()


def copied(document: dict[str, Any], **changed: Any) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps({**document, **changed}))
    return copied
