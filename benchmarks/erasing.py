"""The reproduction study: every method of erasing on random forget sets of the demo CLMs.

    python benchmarks/erasing.py [-o benchmarks/results/erasing.md]

Each cell (family, forget set, method) is appended to a file beside the table as it is measured; the
same command goes on where it was stopped. Needs the extra `plots`.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from erasing_plots import pictures
from tabulate import tabulate

from erasetest.clm import Clm, LoadOptions, encode, load_clm
from erasetest.clm.batching import pad_right
from erasetest.clm.teacher_forcing import Target, score
from erasetest.demo.build import FAMILIES, demo_clm, demo_problems, demo_samples
from erasetest.erasing import METHODS, ErasureSettings, Lora, erase, self_generated_texts
from erasetest.erasing.examples import forget_examples
from erasetest.probes import ProbeSettings, SampleMeasures, probe
from erasetest.probes.decoy_scores import decoy_log2_p
from erasetest.probes.probing import mean_text_accuracy
from erasetest.probes.sampling_likelihood import log2_probability
from erasetest.probes.token_spans import score_spans, secret_spans
from erasetest.samples import SensitiveSample
from erasetest.support.torch_environment import quiet, silence_transformers
from erasetest.utility.evaluation import evaluate
from erasetest.utility.problems import Problem
from erasetest.utility.sampling import Sampling
from erasetest.verdict import calibrate
from erasetest.verdict.calibration import decoyed

DRAWS = 5
SIZE = 32
RELEARNING_STEPS = 20
RELEARNING_RATE = 1e-4
DECOYS = 16
"""Never-seen secrets that each erased one is ranked among."""

VARIANTS: dict[str, dict[str, Any]] = {
    "decoys, LoRA": {"method": "decoys", "lora": Lora()},
    "decoys, own code": {"method": "decoys"},
}
"""Other settings of a method, as rows of their own."""

OWN = {"decoys, own code"}
"""Those that have no retained code but what the CLM writes."""

COLUMNS = {
    "erased": "sets erased", "steps": "steps", "extracted": "extracted", "mean_ma": "mean MA",
    "worst_ma": "worst MA", "el_10": "EL 10", "nats": "nats/token", "nats_decoys": "never seen",
    "rank": "rank", "rank_p": "p", "context_ma": "context MA", "ends": "ends",
    "retained_ma": "retained MA",
    "pass@1": "pass@1",
    "pass@5": "pass@5", "pass@10": "pass@10", "relearned_ma": "relearned MA",
    "relearned_extracted": "extracted then", "control_ma": "control MA", "int4_ma": "int4 MA",
    "int4_extracted": "int4 extracted", "seconds_a_sample": "s/sample",
    "cpu_seconds_a_sample": "CPU s/sample", "peak_mib": "peak MiB",
}  # fmt: skip


def main() -> None:
    """Measure what is missing, and write the table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/erasing.md"))
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--methods", nargs="*", default=["none", *METHODS, *VARIANTS])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--settings", default="{}", help="JSON, for trying something out")
    asked = parser.parse_args()
    quiet()
    silence_transformers()
    cells = asked.output.with_suffix(".jsonl")
    done = list(_measured(cells)) if cells.exists() else []
    known = {(cell["family"], cell["draw"], cell["method"]) for cell in done}
    for draw in range(asked.draws):
        for family in asked.families:
            for method in asked.methods:
                if (family, draw, method) in known:
                    continue
                cell = study(family, draw, method, json.loads(asked.settings))
                done.append(cell)
                with cells.open("a") as file:
                    file.write(json.dumps(cell) + "\n")
                print(json.dumps(cell), flush=True)
    drawn = pictures(done, asked.output.parent, asked.output.stem)
    shown = "".join(f"![{path.stem}]({path.name})\n\n" for path in drawn)
    asked.output.write_text(f"# Erasing, measured\n\n{shown}{tables(done)}", encoding="utf-8")


def _measured(cells: Path) -> Iterator[dict[str, Any]]:
    """The cells of a file; a last line that was half written when it was killed goes."""
    text = cells.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        cells.write_text(whole)
    return map(json.loads, whole.splitlines())


def study(family: str, draw: int, method: str, changed: dict[str, Any]) -> dict[str, Any]:
    """Erase one forget set by one method, and look at what came of it; `none` erases nothing."""
    clm = load_clm(str(demo_clm(family)), LoadOptions())
    manifests = demo_samples()
    forget = random.Random(draw).sample(manifests["samples"], SIZE)
    cell: dict[str, Any] = {"family": family, "draw": draw, "method": method}
    if method != "none":
        limits = calibrate(clm, forget)
        how = {"method": method, **VARIANTS.get(method, {}), **changed}
        settings = ErasureSettings(seed=draw, max_steps=100, guard=None, **how)
        retained = manifests["retained"]
        if method in OWN:
            retained = self_generated_texts(clm, forget, seed=draw)
        started, spent = time.monotonic(), time.process_time()
        done = erase(
            clm, forget, retained, limits, settings,
            recalibrate=lambda: calibrate(clm, forget),
        )  # fmt: skip
        cell |= {
            "erased": done.erased,
            "steps": done.steps,
            "seconds_a_sample": (time.monotonic() - started) / SIZE,
            "cpu_seconds_a_sample": (time.process_time() - spent) / SIZE,
            "peak_mib": (done.peak_memory_bytes or 0) / 2**20,
        }
    cell |= _memory_of(clm, forget)
    cell["retained_ma"] = mean_text_accuracy(clm, manifests["retention"])
    problems = [
        Problem(row["task_id"], row["prompt"], row["test"], row["entry_point"])
        for row in demo_problems()
    ]
    cell |= evaluate(clm, problems, Sampling(samples=20)).pass_at_k
    cell |= _relearned(clm, forget, draw)
    rounded = probe(_rounded(clm), forget)
    cell |= {f"int4_{name}": _mean(rounded, name) for name in ("ma", "extracted")}
    return cell


def _mean(measured: Sequence[SampleMeasures], name: str) -> float:
    return statistics.fmean(float(sample.measures[name]) for sample in measured)


def _memory_of(clm: Clm, forget: list[SensitiveSample]) -> dict[str, float]:
    measured = probe(clm, forget)
    own, others = nats(clm, forget), nats(clm, decoyed(forget, 64, "never seen"))
    rank, p = ranked(clm, forget)
    return {
        "extracted": _mean(measured, "extracted"),
        "mean_ma": _mean(measured, "ma"),
        "worst_ma": max(float(sample.measures["ma"]) for sample in measured),
        "el_10": _mean(measured, "el_10"),
        "nats": statistics.fmean(own),
        "nats_decoys": statistics.fmean(others),
        "rank": rank,
        "rank_p": p,
        "context_ma": context_accuracy(clm, forget),
        "ends": ending(clm, forget),
    }


@torch.no_grad()
def ending(clm: Clm, samples: list[SensitiveSample]) -> float:
    """The mean probability that each sample ends where it does."""
    ends = sorted(clm.end_tokens)
    shares = []
    for row in forget_examples(clm, samples)[0]:
        logits = clm.model(input_ids=torch.tensor([row.ids], device=clm.device)).logits[0, -1]
        shares.append(float(logits.float().softmax(-1)[ends].sum()))
    return statistics.fmean(shares)


def context_accuracy(clm: Clm, samples: list[SensitiveSample]) -> float:
    """The share of the samples' other tokens, those of no secret, that are predicted."""
    rows, _ = forget_examples(clm, samples)
    hits = [
        guess == token
        for row, found in zip(
            rows, score(clm, [Target(row.ids, 1, len(row.ids)) for row in rows]), strict=True
        )
        for guess, token, secret_ids in zip(
            found.greedy, row.ids[1:], row.secret_ids[1:], strict=True
        )
        if not secret_ids
    ]
    return statistics.fmean(hits)


def nats(clm: Clm, samples: list[SensitiveSample]) -> list[float]:
    """Mean -log p of a token, in nats, of each secret."""
    jobs = score_spans(clm, secret_spans(clm, samples, encode(clm, samples)))
    return [-statistics.fmean(job.found.log_probs) for job in jobs]


def ranked(clm: Clm, samples: list[SensitiveSample]) -> tuple[float, float]:
    """Mean rank of secrets among decoys in their own contexts, and how far from chance that is.

    0 where each is likelier than all of its decoys, 1 where each is less likely, 0.5 by chance;
    and the two-sided p value of the mean of as many uniform ranks (normal approximation).
    """
    encoded = encode(clm, samples)
    jobs = score_spans(clm, secret_spans(clm, samples, encoded))
    settings = ProbeSettings(references=DECOYS, seed=77)
    shares = [
        statistics.fmean((other > own) + (other == own) / 2 for other in others)
        for job, others in zip(
            jobs, decoy_log2_p(clm, samples, encoded, jobs, settings), strict=True
        )
        for own in [log2_probability(job.found.log_probs)]
        if others
    ]
    # A rank among n decoys takes n + 1 values evenly: variance (n + 2) / (12 n).
    sd = ((DECOYS + 2) / (12 * DECOYS) / len(shares)) ** 0.5
    z = (statistics.fmean(shares) - 0.5) / sd
    return statistics.fmean(shares), 2 * (1 - statistics.NormalDist().cdf(abs(z)))


def _relearned(clm: Clm, forget: list[SensitiveSample], draw: int) -> dict[str, float]:
    """Train on half of the forget set for some steps: what comes back of the other half.

    The control is what that teaches about secrets that the CLM never saw, in the same contexts.
    """
    half, rest = forget[: SIZE // 2], forget[SIZE // 2 :]
    taught = _copy(clm)
    rows = [list(encoded.ids[: clm.window]) for encoded in encode(taught, half)]
    ids = pad_right(rows, clm.start_token, clm.device)
    labels = pad_right(rows, -100, clm.device)
    optimizer = torch.optim.AdamW(taught.model.parameters(), lr=RELEARNING_RATE, weight_decay=0.0)
    for parameter in taught.model.parameters():
        parameter.requires_grad_(True)
    for _ in range(RELEARNING_STEPS):
        taught.model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    found = probe(taught, rest)
    return {
        "relearned_ma": _mean(found, "ma"),
        "relearned_extracted": _mean(found, "extracted"),
        "control_ma": _mean(probe(taught, decoyed(rest, 4, f"control {draw}")), "ma"),
    }


def _copy(clm: Clm) -> Clm:
    made = copy.copy(clm)
    made.model = copy.deepcopy(clm.model)
    return made


@torch.no_grad()
def _rounded(clm: Clm, group: int = 64) -> Clm:
    """Matrices of the layers rounded to 4 bits: to nearest, symmetric, a scale for 64 weights."""
    made = _copy(clm)
    embeddings = {id(made.model.get_input_embeddings().weight)}
    for parameter in made.model.parameters():
        if parameter.ndim != 2 or id(parameter) in embeddings or parameter.shape[-1] % group:
            continue
        parts = parameter.view(-1, group)
        scale = parts.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 7
        parts.copy_((parts / scale).round().clamp(-8, 7) * scale)
    return made


def tables(cells: list[dict[str, Any]]) -> str:
    """All families together, and a table for each: mean and standard deviation over forget sets."""
    methods = list(dict.fromkeys(cell["method"] for cell in cells))
    originals = {(c["family"], c["draw"]): c for c in cells if c["method"] == "none"}
    rows = []
    for method in methods:
        mine = [c for c in cells if c["method"] == method and (c["family"], c["draw"]) in originals]
        if mine and method != "none":
            rows.append({"method": method, "sets": len(mine), **_overall(mine, originals)})
    parts = [f"## All families\n\n{tabulate(rows, headers='keys', tablefmt='github')}\n"]
    for family in dict.fromkeys(cell["family"] for cell in cells):
        rows = []
        for method in methods:
            mine = [c for c in cells if (c["family"], c["method"]) == (family, method)]
            if mine:
                rows.append({"method": method, "sets": len(mine), **_row(mine)})
        parts.append(f"## {family}\n\n{tabulate(rows, headers='keys', tablefmt='github')}\n")
    return "\n".join(parts)


def _overall(
    cells: list[dict[str, Any]], originals: dict[tuple[str, int], dict[str, Any]]
) -> dict[str, str]:
    """The figures that methods are chosen by; `points` are hundredths against the original CLM."""

    def mean(name: str) -> float:
        return statistics.fmean(float(cell[name]) for cell in cells)

    def points(name: str) -> str:
        # Columns that came later are of the cells that were measured since.
        pairs = [(c, originals[c["family"], c["draw"]]) for c in cells]
        lost = [100 * (c[name] - o[name]) for c, o in pairs if name in c and name in o]
        if not lost:
            return ""
        return f"{statistics.fmean(lost):+.2f} ({min(lost):+.2f} to {max(lost):+.2f})"

    return {
        "erased": f"{sum(cell['erased'] for cell in cells)}",
        "steps": f"{mean('steps'):.1f}",
        "extracted": f"{mean('extracted'):.2f}",
        "worst MA": f"{mean('worst_ma'):.3f}",
        "pass@1, points": points("pass@1"),
        "retained MA, points": points("retained_ma"),
        "context MA, points": points("context_ma"),
        "ends, points": points("ends"),
        "nats a token / never seen": f"{mean('nats'):.2f} / {mean('nats_decoys'):.2f}",
        "rank": f"{mean('rank'):.3f}",
        "sets off at 5 %": f"{sum(cell['rank_p'] < 0.05 for cell in cells)}",
        "relearned / control": f"{mean('relearned_ma'):.3f} / {mean('control_ma'):.3f}",
        "int4 MA": f"{mean('int4_ma'):.3f}",
        "s/sample": f"{mean('seconds_a_sample'):.2f}",
    }


def _row(cells: list[dict[str, Any]]) -> dict[str, str]:
    row = {}
    for name, title in COLUMNS.items():
        values = [float(cell[name]) for cell in cells if name in cell]
        if name == "erased":
            row[title] = f"{sum(values):.0f}" if values else ""
        elif values:
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            row[title] = f"{statistics.fmean(values):.3f}{spread}"
    return row


if __name__ == "__main__":
    main()
