"""Verdicts on a real CLM: their cost, false alarms, misses, and copies in the text.

    python benchmarks/real.py

It takes SmolLM2-135M, clean and fine-tuned to recite 24 secrets (`real_clm.py`, made first if it is
not there), and writes `benchmarks/results/real.json`, part by part, and `real.md`. A part that is
in the file is not measured again; `--again PART` does so. Some parts take half an hour on two
cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import real_clm
import torch
from real_material import KINDS, never_seen, real_lines
from tabulate import tabulate

import erasetest
from erasetest.clm import Clm
from erasetest.clm.batching import group_by_length, pad_right
from erasetest.probes import SampleMeasures, probe
from erasetest.probes.prompt_names import LONGEST, PROMPTS
from erasetest.probes.prompts import secret_prompts
from erasetest.probes.token_spans import score_spans
from erasetest.samples import SensitiveSample, make_sample
from erasetest.support.statistics import Proportion
from erasetest.verdict.calibration import FLOORS, calibrate
from erasetest.verdict.thresholds import Thresholds
from erasetest.verdict.verdict_settings import verdict_settings

RESULTS = Path(__file__).parent / "results" / "real.json"
REPORT_SEED = 505
"""Seed of the material that is reported; nothing was tuned on it."""
BLOCK = 32
ROWS = 8
"""Texts per pass of the bare forward passes."""


def load(place: Path) -> Clm:
    """Load a CLM onto the CPU."""
    clm = erasetest.load(place, device="cpu")
    assert isinstance(clm, Clm)
    return clm


@torch.no_grad()
def bare_seconds(clm: Clm, samples: list[SensitiveSample]) -> float:
    """Return the shortest of three times of bare forward passes over whole texts, in seconds."""
    ids = [clm.tokenizer(sample.content.reveal())["input_ids"] for sample in samples]
    batches = [part[i : i + ROWS] for part in group_by_length(list(map(len, ids)))
               for i in range(0, len(part), ROWS)]  # fmt: skip
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        for batch in batches:
            clm.model(input_ids=pad_right([ids[i] for i in batch], 0, clm.device), use_cache=False)
        times.append(time.perf_counter() - begin)
    return min(times)


def verdicts(
    clm: Clm,
    samples: list[SensitiveSample],
    limits: Thresholds,
    prompts: tuple[str, ...] = PROMPTS,
) -> tuple[Counter[str], list[SampleMeasures]]:
    """Return the numbers of verdicts and of details, and the measures."""
    measured: list[SampleMeasures] = []
    settings = replace(verdict_settings(limits), prompts=prompts)
    for start in range(0, len(samples), BLOCK):
        block = samples[start : start + BLOCK]
        measured += probe(clm, block, settings=settings)
    counts: Counter[str] = Counter()
    for one in measured:
        judgement = erasetest.judge(one, limits)
        counts.update([judgement.verdict, *judgement.details])
    return counts, measured


def timed(clm: Clm) -> Iterator[tuple[str, list[SensitiveSample], float]]:
    """Yield the name of samples to time, the samples, and the seconds of bare forward passes."""
    for count, seed in ((48, 1), (24, 2)):
        samples = never_seen(count, seed)
        yield f"{count} samples", samples, bare_seconds(clm, samples)


def cost() -> dict[str, Any]:
    """Measure the time of verdicts and of a calibration, over that of a bare forward pass."""
    clm = load(real_clm.clean())
    found: dict[str, Any] = {}
    for name, samples, bare in timed(clm):
        begin = time.perf_counter()
        limits = calibrate(clm, samples, decisive=True)
        calibrated = time.perf_counter() - begin
        begin = time.perf_counter()
        verdicts(clm, samples, limits, (LONGEST,))
        alone = time.perf_counter() - begin
        begin = time.perf_counter()
        counts, _ = verdicts(clm, samples, limits)
        spent = time.perf_counter() - begin
        found[name] = {
            "bare forward pass, s": round(bare, 1),
            "verdicts of one prompt, times that": round(alone / bare, 2),
            "verdicts of all prompts": round(spent / bare, 2),
            "calibration of all prompts": round(calibrated / bare, 2),
            "kinds": len({kind for sample in samples for kind in sample.kinds}),
            "leaks": counts["leak"],
        }
    return found


def every_measure() -> dict[str, Any]:
    """Measure the time of `probe`, which measures EL of all secrets after all prompts."""
    clm = load(real_clm.clean())
    found: dict[str, Any] = {}
    for name, samples, bare in timed(clm):
        begin = time.perf_counter()
        probe(clm, samples)
        spent = time.perf_counter() - begin
        found[name] = {
            "bare forward pass, s": round(bare, 1),
            "every measure of all prompts, times that": round(spent / bare, 2),
        }
    return found


def repeated() -> dict[str, Any]:
    """Count false alarms where the text holds the secret before it, and where it does not."""
    clm = load(real_clm.clean())
    found: dict[str, Any] = {}
    for repeat, count in (("", 48), ("line", 48), ("base64", 16)):
        samples = never_seen(
            count, REPORT_SEED, forms=("python", "settings", "json", "url"), repeat=repeat
        )
        limits = calibrate(clm, samples, decisive=True)
        counts, measured = verdicts(clm, samples, limits)
        secrets = [secret for sample in measured for secret in sample.secrets]
        copied_decoys = [float(s.copied["control_ma"]) for s in secrets if s.copied]
        as_it_stands = [s.copied or s.measures for s in secrets]
        found[repeat or "no copy"] = {
            "secrets": len(secrets),
            "recited as the text stands": sum(bool(s["extracted"]) for s in as_it_stands),
            "mean MA as the text stands": _mean([float(s["ma"]) for s in as_it_stands]),
            "mean MA of copied decoys": _mean(copied_decoys) if copied_decoys else None,
            "mean MA without copies": _mean([float(s.measures["ma"]) for s in secrets]),
            "leaks": counts["leak"],
            "copied": counts["copied"],
            "guessable": counts["guessable"],
            "inconclusive": counts["inconclusive"],
        }
    return found


def false_alarms() -> dict[str, Any]:
    """Count false alarms on never-seen secrets of all kinds and forms, some of them repeated."""
    clm = load(real_clm.clean())
    samples = [
        *never_seen(400, REPORT_SEED),
        *never_seen(60, REPORT_SEED + 1, repeat="line"),
        *never_seen(60, REPORT_SEED + 2, repeat="base64"),
    ]
    samples = [_renamed(sample, number) for number, sample in enumerate(samples)]
    limits = calibrate(clm, samples, decisive=True)
    counts, measured = verdicts(clm, samples, limits)
    alarms = Counter(
        kind
        for one, sample in zip(measured, samples, strict=True)
        if erasetest.judge(one, limits).verdict == "leak"
        for kind in sample.kinds
    )
    rate = Proportion(counts["leak"], len(samples))
    return {
        "secrets": len(samples),
        "kinds": len({kind for sample in samples for kind in sample.kinds}),
        "false alarms": rate.count,
        "share": round(rate.share, 4),
        "interval_95": [round(end, 4) for end in rate.interval_95],
        "by kind": dict(alarms),
        "inconclusive": counts["inconclusive"],
        "copied": counts["copied"],
        "guessable": counts["guessable"],
    }


def misses() -> dict[str, Any]:
    """Count misses among planted secrets that greedy decoding extracts."""
    clm = load(real_clm.leaking())
    samples = real_clm.planted()
    limits = calibrate(clm, samples, decisive=True)
    counts, measured = verdicts(clm, samples, limits)
    extracted = [one for one in measured if one.measures["extracted"]]
    missed = [one for one in extracted if erasetest.judge(one, limits).verdict != "leak"]
    return {
        "planted": len(samples),
        "extracted": len(extracted),
        "leaks": counts["leak"],
        "misses": len(missed),
        "mean MA": _mean([float(one.measures["ma"]) for one in measured]),
    }


def moved() -> dict[str, Any]:
    """Count misses where foreign lines are put before the planted samples."""
    clm = load(real_clm.leaking())
    found: dict[str, Any] = {}
    limits: Thresholds | None = None
    for lines in (0, 5, 50, 500):
        samples = [_behind(sample, lines) for sample in real_clm.planted()[:12]]
        limits = limits or calibrate(clm, samples, decisive=True)
        counts, measured = verdicts(clm, samples, limits)
        found[f"{lines} lines"] = {
            "planted": len(samples),
            "extracted": sum(bool(one.measures["extracted"]) for one in measured),
            "leaks": counts["leak"],
            "mean MA": _mean([float(one.measures["ma"]) for one in measured]),
        }
    return found


def _behind(sample: SensitiveSample, lines: int) -> SensitiveSample:
    """Return a sample behind so many lines of comments of another file."""
    before = "".join(f"# {line}" for line in real_lines("tarfile")[100 : 100 + lines])
    spans = [(s.start + len(before), s.end + len(before), s.kind) for s in sample.secrets]
    return make_sample(before + sample.content.reveal(), spans, id=sample.id)


def orders() -> dict[str, Any]:
    """Count verdicts that change with the order, the size of batches, and what a worker gets."""
    clm = load(real_clm.leaking())
    samples = [*real_clm.planted()[:4], *never_seen(8, REPORT_SEED + 5)]
    # Both begin to count at 0, and verdicts are compared by id.
    samples = [_renamed(sample, number) for number, sample in enumerate(samples)]
    limits = calibrate(clm, samples, decisive=True)
    rng, first, changed = random.Random(REPORT_SEED), {}, 0
    for run in range(20):
        clm.batch_tokens = rng.choice([256, 512, 1024, 2048, 4096])
        shuffled = rng.sample(samples, len(samples))
        # Each worker of a gate probes a share of the samples by itself.
        workers = rng.choice([1, 2, 3])
        measured = [
            one
            for worker in range(workers)
            for one in verdicts(clm, shuffled[worker::workers], limits)[1]
        ]
        verdict = {one.id: erasetest.judge(one, limits).verdict for one in measured}
        first = first or verdict
        changed += sum(verdict[name] != first[name] for name in first)
        print(f"orders: run {run + 1} of 20, {changed} changed", flush=True)
    return {
        "samples": len(samples),
        "leaks": sum(v == "leak" for v in first.values()),
        "runs in other orders, batches and shares": 20,
        "changed verdicts": changed,
    }


def el_bound() -> dict[str, Any]:
    """Compare the bound of EL_10 that verdicts trust with EL_10 itself."""
    from erasetest.probes import ProbeSettings
    from erasetest.probes.extraction_likelihood import reachable_extraction_likelihood

    found: dict[str, Any] = {}
    for name, place, samples in (
        ("clean CLM, never seen", real_clm.clean(), never_seen(60, REPORT_SEED + 3)),
        ("leaking CLM, planted", real_clm.leaking(), real_clm.planted()),
        ("leaking CLM, never seen", real_clm.leaking(), never_seen(24, REPORT_SEED + 4)),
    ):
        clm = load(place)
        exact = probe(clm, samples, settings=ProbeSettings(ngrams=(10,), prompts=(LONGEST,)))
        asked = [one for of_sample in secret_prompts(clm, samples) for one in of_sample]
        spans = score_spans(clm, [next(iter(one.clean.values())) for one in asked])
        pairs = [
            (float(one.secrets[0].measures["el_10"]),
             reachable_extraction_likelihood(10, [m > 0 for m in span.scores.margins]))
            for one, span in zip(exact, spans, strict=True)
            if len(span.truth) >= 10
        ]  # fmt: skip
        found[name] = {
            "secrets of 10 tokens or more": len(pairs),
            "bound below EL 10": sum(bound < el - 1e-9 for el, bound in pairs),
            "EL 10 above 0.05, bound not": sum(el > 0.05 >= bound for el, bound in pairs),
            "EL 10 not needed": sum(bound <= 0.05 for _, bound in pairs),
        }
    return found


def memory() -> dict[str, Any]:
    """Compare the largest memory of processes that do one thing after loading the CLM."""
    peaks = {}
    for name in ("loading", "bare forward pass", "verdicts of all prompts", "calibration"):
        script = f"import real; real.peak_of({name!r})"
        done = subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True,
            cwd=Path(__file__).parent,
        )  # fmt: skip
        peaks[name] = int(done.stdout.split()[-1]) / 1024**2
    bare = peaks["bare forward pass"]
    return {
        name: {"GiB": round(peak, 2), "times the bare pass": round(peak / bare, 2)}
        for name, peak in peaks.items()
    }


def peak_of(name: str) -> None:
    """Do one thing with 24 samples on the clean CLM, and print the peak of memory, in KiB."""
    clm, samples = load(real_clm.clean()), never_seen(24, 2)
    if name == "bare forward pass":
        bare_seconds(clm, samples)
    elif name == "calibration":
        calibrate(clm, samples, decisive=True)
    elif name == "verdicts of all prompts":
        verdicts(clm, samples, Thresholds("fixed", FLOORS))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def examples() -> dict[str, Any]:
    """Judge texts of different kinds with the leaking CLM, and say why."""
    clm = load(real_clm.leaking())
    token = KINDS["gitlab-token"](random.Random(REPORT_SEED))
    word = 'AMQP = {"host": "queue.example.internal", "user": "worker", "password": "'
    texts = {
        "planted": real_clm.planted()[0],
        "planted, behind 50 foreign lines": _behind(real_clm.planted()[1], 50),
        "never seen": never_seen(1, REPORT_SEED + 6)[0],
        "never seen, its line twice": never_seen(
            1, REPORT_SEED + 7, forms=("python",), repeat="line"
        )[0],
        "a default password": make_sample(
            f'{word}guest"}}\n', [(len(word), len(word) + len("guest"), "password")]
        ),
        "a secret after nothing but a copy": make_sample(
            f"{token}={token}\n",
            [(len(token) + 1, 2 * len(token) + 1, "gitlab-token")],
        ),
    }
    samples = [replace(sample, id=name) for name, sample in texts.items()]
    limits = calibrate(clm, never_seen(32, REPORT_SEED + 8), decisive=True)
    _, measured = verdicts(clm, samples, limits)
    found = {}
    for one in measured:
        judgement, (secret,) = erasetest.judge(one, limits), one.secrets
        found[one.id] = {
            "verdict": judgement.verdict,
            "details": ", ".join(judgement.details),
            "MA": secret.measures.get("ma"),
            "MA as the text stands": secret.copied.get("ma"),
            "prompt": secret.prompt,
            "reasons": "; ".join(map(str, judgement.reasons)),
        }
    return found


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 3) if values else 0.0


def _renamed(sample: SensitiveSample, number: int) -> SensitiveSample:
    spans = [(secret.start, secret.end, secret.kind) for secret in sample.secrets]
    return make_sample(sample.content.reveal(), spans, id=f"{number:04d}")


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "cost": cost,
    "every_measure": every_measure,
    "repeated": repeated,
    "misses": misses,
    "moved": moved,
    "orders": orders,
    "el_bound": el_bound,
    "memory": memory,
    "examples": examples,
    "false_alarms": false_alarms,
}


def write_markdown(found: dict[str, Any]) -> None:
    """Write a table for each part that is measured."""
    titles = {
        "cost": "Cost, over bare forward passes of the same tokens in the same run",
        "every_measure": "Cost of `erasetest probe`, which measures everything",
        "repeated": "Never-trained secrets, alone and once more at the top of their sample",
        "misses": "Planted secrets that the leaking CLM recites",
        "moved": "12 of them behind foreign lines",
        "orders": "Verdicts in other orders, batches and shares of workers",
        "el_bound": "The bound of EL 10 that verdicts trust",
        "memory": "Memory of a process that loads the CLM and does one thing",
        "examples": "Verdicts on single texts, by the leaking CLM",
        "false_alarms": "Never-seen secrets of all kinds",
    }
    lines = [
        "# Verdicts on a real CLM\n",
        f"SmolLM2-135M (135 M parameters, 49,152 tokens), {found['machine']}. Made by "
        "`python benchmarks/real.py`.\n",
    ]
    for part, title in titles.items():
        if part not in found:
            continue
        rows = found[part]
        nested = all(isinstance(value, dict) for value in rows.values())
        table = (
            [[name, *row.values()] for name, row in rows.items()]
            if nested
            else [[name, json.dumps(value)] for name, value in rows.items()]
        )
        head = ["", *next(iter(rows.values()))] if nested else ["", ""]
        lines += [f"## {title}\n", tabulate(table, headers=head, tablefmt="github") + "\n"]
    RESULTS.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    """Measure the parts that are missing."""
    parser = argparse.ArgumentParser(description="Measure verdicts on a real CLM.")
    parser.add_argument("--again", nargs="*", default=[], choices=sorted(PARTS))
    again = parser.parse_args().again
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["machine"] = f"{torch.get_num_threads()} threads, {platform.machine()}, no GPU, float32"
    for part, measure in PARTS.items():
        if part in found and part not in again:
            continue
        begin = time.perf_counter()
        found[part] = measure()
        print(f"{part}: {time.perf_counter() - begin:.0f} s: {json.dumps(found[part])}", flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        write_markdown(found)


if __name__ == "__main__":
    main()
