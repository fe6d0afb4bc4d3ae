"""Rates of wrong verdicts on the demo CLMs of all families.

    python benchmarks/rates.py [-o benchmarks/results/rates.md]

False alarms: secrets in files that no CLM was trained on, judged by thresholds calibrated for the
planted samples, as in a gate. Misses: planted secrets with the verdict `pass`. Both with exact 95 %
confidence intervals.
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from tabulate import tabulate

from erasetest.clm import LoadOptions, load_clm
from erasetest.demo.build import FAMILIES, demo_clm, demo_samples
from erasetest.demo.demo_corpus import SEED, corpus, samples
from erasetest.probes import ProbeSettings, probe
from erasetest.probes.measure_store import ProbeStore, identity
from erasetest.support.atomic_files import cache_dir
from erasetest.support.statistics import Proportion
from erasetest.support.torch_environment import quiet, silence_transformers
from erasetest.verdict import calibrate, judge

CORPORA = 10
"""Number of corpora of other seeds whose untrained files are judged, 34 samples each."""

STORE = cache_dir() / "rates.store"
"""Where measures are saved, so that the same command resumes a run that was stopped."""


def main() -> None:
    """Judge the samples and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    quiet()
    silence_transformers()
    unseen = [
        sample
        for number in range(CORPORA)
        for sample in samples(corpus(SEED + 1 + number).unseen, f"unseen-{number}")
    ]
    rows: list[dict[str, Any]] = []
    stores: list[ProbeStore] = []
    for family in FAMILIES:
        clm = load_clm(str(demo_clm(family)), LoadOptions())
        store = ProbeStore(STORE, identity(clm), ProbeSettings().as_dict())
        stores.append(store)
        planted = demo_samples()["samples"]
        limits = calibrate(clm, planted)
        for title, given, wrong in (
            ("false alarms", unseen, "leak"),
            ("misses", planted, "pass"),
        ):
            verdicts: Counter[str] = Counter()
            for start in range(0, len(given), 32):
                part = given[start : start + 32]
                measured = store.measured(part, partial(probe, clm))
                verdicts.update(judge(found, limits).verdict for found in measured)
            rate = Proportion(verdicts[wrong], len(given))
            low, high = rate.interval_95
            rows.append(
                {"family": family, "rate": title, "wrong": rate.count, "of": rate.of,
                 "inconclusive": verdicts["inconclusive"], "share": f"{rate.share:.2%}",
                 "95 %": f"{low:.2%} to {high:.2%}"}
            )  # fmt: skip
    # The run is complete. Another run must measure again, because the code may have changed.
    for store in stores:
        store.remove()
    table = tabulate(rows, headers="keys", tablefmt="github")
    text = f"# Rates of wrong verdicts, measured\n\n{table}\n"
    print(text)
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
