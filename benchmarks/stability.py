"""Run the same gate 20 times with different batch sizes, sample orders and numbers of workers.

All runs should give the same verdicts.

    python benchmarks/stability.py [--clm demo:gpt2] [-o benchmarks/results/stability.md]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from erasetest.demo.build import demo_samples
from erasetest.samples import SensitiveSample, write_manifest
from erasetest.verdict.calibration import decoy_samples

RUNS = 20
"""Number of gates for each way to get thresholds."""

SUITES = Path(__file__).parents[1] / "suites"


def main() -> None:
    """Run the gates, compare their verdicts and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clm", default="demo")
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    planted = demo_samples()["samples"]
    # Planted secrets leak and decoys pass, so both verdicts occur, some close to a threshold.
    given = [*planted, *decoy_samples(planted, 8, 11)]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_manifest(place / "0.jsonl", given)
        subprocess.run(
            [sys.executable, "-m", "erasetest.cli", "calibrate", "--samples", "0.jsonl",
             "--references", "16", "--clm", asked.clm, "-o", "limits.json"],
            cwd=place, check=True,
        )  # fmt: skip
        for title, options in (
            ("with `--leak-thresholds`", ["--leak-thresholds", "limits.json"]),
            ("with thresholds that each calibrates", []),
        ):
            lines.append(f"{title}: {gates(place, asked.clm, given, options)}")
    text = (
        f"# Stability of verdicts\n\nGates on `{asked.clm}` over {len(given)} samples, "
        "each in a different order, with 300 to 9,000 tokens per batch, with no or two workers.\n\n"
        + "".join(f"- {RUNS} gates {line}\n" for line in lines)
    )
    print(text)
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")


def gates(place: Path, clm: str, given: list[SensitiveSample], options: list[str]) -> str:
    """Run the gates in a folder and return a summary of their verdicts."""
    verdicts: dict[str, Counter[str]] = {}
    exits: Counter[int] = Counter()
    for run in range(RUNS):
        rng = random.Random(run)
        write_manifest(place / "s.jsonl", rng.sample(given, len(given)))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", str(SUITES), "-q", "-p", "no:cacheprovider", "-c",
             "/dev/null", "--rootdir", str(place), "--clm", clm, "--leak-samples", "s.jsonl",
             *options, "--leak-report", "r.json",
             "--clm-batch-tokens", str(rng.choice([300, 777, 1500, 4096, 9000])),
             "-n", str(rng.choice([0, 2]))],
            cwd=place, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        exits[done.returncode] += 1
        report = json.loads((place / "r.json").read_text())
        for row in report["samples"]:
            verdicts.setdefault(row["id"], Counter())[row["verdict"]] += 1
    changed = sorted(name for name, seen in verdicts.items() if len(seen) > 1)
    every = Counter(next(iter(seen)) for seen in verdicts.values() if len(seen) == 1)
    return (
        f"samples whose verdict changed: {len(changed)} {changed or ''}; verdicts: {dict(every)}; "
        f"exit statuses: {dict(exits)}"
    )


if __name__ == "__main__":
    main()
