"""What is measured on a GPU: equality with a CPU, speed and memory of probing and erasing."""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import erase_step
import torch
from gpu_clms import (
    SEED,
    Setup,
    byte_level_tokenizer,
    loaded,
    metaspace_tokenizer,
    one_billion,
    reciting,
    retained,
    untrained,
)
from real_material import never_seen

from erasetest.clm import Clm, encode
from erasetest.clm.batching import batches, pad_right
from erasetest.clm.numerical_noise import logit_noise
from erasetest.probes import SampleMeasures, probe
from erasetest.probes.measures import SecretMeasures
from erasetest.probes.prompts import secret_prompts
from erasetest.probes.token_spans import score_spans
from erasetest.samples import SensitiveSample
from erasetest.support.torch_environment import peak_memory, reset_peak_memory
from erasetest.verdict import Thresholds, judge
from erasetest.verdict.verdict_settings import verdict_settings

LIMITS = Thresholds("gpu.py", {"ma": 0.4, "el_10": 0.05})
"""Thresholds of all verdicts here; not calibrated, since only their equality matters."""

BLOCK = 32
"""Samples per call of `probe`, as in a gate."""
ROUNDS = 3

Row = dict[str, Any]


NAMES = ("ma", "el_10", "extracted")
"""What verdicts depend on."""


@dataclass(frozen=True, repr=False)
class Probed:
    """Measures of samples by one copy of a CLM, and the margins that they are made of."""

    dtype: str
    samples: list[SampleMeasures]
    margins: list[float]
    noise: float

    @property
    def verdicts(self) -> list[str]:
        """The verdict of each sample."""
        return [judge(sample, LIMITS).verdict for sample in self.samples]

    @property
    def secrets(self) -> list[SecretMeasures]:
        """The measures of each secret."""
        return [secret for sample in self.samples for secret in sample.secrets]


def probed(clm: Clm, samples: Sequence[SensitiveSample]) -> Probed:
    """Probe samples as a gate does."""
    prompts = [one for of_sample in secret_prompts(clm, samples) for one in of_sample]
    spans = score_spans(clm, [span for one in prompts for span in one.clean.values()])
    margins = [margin for span in spans for margin in span.scores.margins]
    measures = probe(clm, samples, settings=verdict_settings(LIMITS))
    return Probed(_dtype(clm), measures, margins, logit_noise(clm))


def compare(one: Probed, other: Probed) -> Row:
    """Compare what verdicts depend on between two copies of a CLM.

    A measure that differs is explained by ties if the intervals overlap in which it can lie when
    ties are resolved otherwise. The logits of each copy are certain up to its numerical noise, so
    margins may differ by the sum.
    """
    pairs = list(zip(one.secrets, other.secrets, strict=True))
    differing = [(a, b, name) for a, b in pairs for name in NAMES if _differs(a, b, name)]
    by_ties = sum(_overlap(*of_two) for of_two in differing)
    difference = max(abs(a - b) for a, b in zip(one.margins, other.margins, strict=True))
    noise = one.noise + other.noise
    return {
        "dtype": other.dtype,
        "secrets": len(pairs),
        "extracted": sum(bool(a.measures.get("extracted")) for a, _ in pairs),
        "verdicts": dict(sorted(Counter(one.verdicts).items())),
        "verdicts of the other": dict(sorted(Counter(other.verdicts).items())),
        "verdicts that differ": sum(
            a != b for a, b in zip(one.verdicts, other.verdicts, strict=True)
        ),
        "secrets with ties": sum("ma" in b.reach or "extracted" in b.reach for _, b in pairs),
        "measures that differ": len(differing),
        "of them by ties": by_ties,
        "largest difference of MA": max(_difference(a, b, "ma") for a, b in pairs),
        "largest difference of a margin": float(f"{difference:.3g}"),
        "numerical noise of both": float(f"{noise:.3g}"),
        "equal": by_ties == len(differing) and difference <= noise,
    }


def _differs(one: SecretMeasures, other: SecretMeasures, name: str) -> bool:
    return one.measures.get(name) != other.measures.get(name)


def _overlap(one: SecretMeasures, other: SecretMeasures, name: str) -> bool:
    ends = [one.at_least(name), other.at_most(name), other.at_least(name), one.at_most(name)]
    if None in ends:
        return False
    low, high, other_low, other_high = map(float, ends)  # type: ignore[arg-type]
    return low <= high and other_low <= other_high


def _difference(one: SecretMeasures, other: SecretMeasures, name: str) -> float:
    return round(abs(float(one.measures[name]) - float(other.measures[name])), 4)


def equality(setup: Setup) -> dict[str, Row]:
    """Compare verdicts on the device with those on a CPU, in float32 and in bfloat16."""
    count = setup.pick(32, 6)
    planted = never_seen(count, SEED, forms=setup.forms)
    samples = [*planted, *never_seen(count // 2, SEED + 1, forms=setup.forms)]
    on_cpu, *on_device = loaded(setup, reciting(setup, planted), "float32", "bfloat16")
    wanted = probed(on_cpu, samples)
    found = {}
    for clm in on_device:
        row = found[f"{clm.device.type}, {_dtype(clm)}"] = compare(wanted, probed(clm, samples))
        if clm.dtype != torch.float32:
            # Rounded weights are those of another CLM: its margins are not the same up to noise.
            del row["equal"]
    return found


def tokenizers(setup: Setup) -> dict[str, Row]:
    """Compare CLMs with tokenizers of both families, loaded on the device and on a CPU."""
    samples = never_seen(setup.pick(40, 6), SEED + 2)
    found = {}
    for name, family, made in (
        ("byte-level, as Qwen2", "qwen2", byte_level_tokenizer()),
        ("metaspace, as Llama", "llama", metaspace_tokenizer()),
    ):
        on_cpu, on_device = loaded(setup, untrained(setup, made, family=family), "float32")
        same = encode(on_cpu, samples) == encode(on_device, samples)
        compared = compare(probed(on_cpu, samples), probed(on_device, samples))
        found[name] = {"tokens are the same": same, **compared}
    return found


def throughput(setup: Setup) -> dict[str, Row]:
    """Measure verdicts of never-seen samples over the model's own forward pass of their texts."""
    dtype = torch.float32 if setup.small else torch.bfloat16
    clm = one_billion(setup, byte_level_tokenizer(), dtype)
    samples = never_seen(setup.pick(192, 4), SEED + 3, forms=setup.forms)
    rows = [encoded.ids for encoded in encode(clm, samples)]
    tokens = sum(map(len, rows))

    def verdicts() -> None:
        for start in range(0, len(samples), BLOCK):
            probe(clm, samples[start : start + BLOCK], settings=verdict_settings(LIMITS))

    @torch.no_grad()
    def forward(model: Any) -> None:
        for batch in batches(clm, list(map(len, rows))):
            ids = pad_right([rows[i] for i in batch], clm.start_token, clm.device)
            model(input_ids=ids, use_cache=False)

    ways = {
        "forward pass": lambda: forward(clm.model),
        "forward pass without logits": lambda: forward(clm.model.base_model),
        "verdicts": verdicts,
    }
    measured = {
        name: {"tokens": tokens, "dtype": _dtype(clm), **_measured(run, clm.device)}
        for name, run in ways.items()
    }
    return _over(measured, dict.fromkeys(measured, "forward pass"))


def erasing(setup: Setup) -> dict[str, Row]:
    """Measure the gradients of an erasing step over those of training on the same tokens.

    Full erasing trains in float32 under bfloat16 autocast, as it does on a GPU of a checkpoint in
    bfloat16; so does the plain step. An adapter is trained on weights in bfloat16.
    """
    tokenizer = byte_level_tokenizer()
    stored = torch.float32 if setup.small else torch.bfloat16
    full = ("plain", erase_step.PLAIN_DECOYS, "ours, codeeraser", "ours, decoys")
    measured: dict[str, Row] = {}
    for dtype, names in ((torch.float32, full), (stored, ("ours, codeeraser by LoRA",))):
        clm = one_billion(setup, tokenizer, dtype)
        clm.stored_dtype = stored
        forget = never_seen(setup.pick(16, 2), SEED + 4, forms=setup.forms)
        step = erase_step.Step("gpu", clm, forget, retained(4 * len(forget)))
        for name in names:
            # Made anew for each, so that what one keeps in memory does not count for the next.
            run, stored_as = step.variants()[name], _dtype(clm)
            if "LoRA" in name:
                # The adapter is put on a copy, beside which the original takes no memory.
                run()
                del clm.model
            if name in ("plain", erase_step.PLAIN_DECOYS) and not setup.small:
                run = _in_bfloat16(run)
            method = "decoys" if "decoys" in name else "codeeraser"
            tokens = sum(len(row.ids) for part in step.read_by(method) for row in part)
            measured[name] = {"tokens": tokens, "dtype": stored_as, **_measured(run, setup.device)}
            del run
        del clm, step
    return _over(measured, dict.fromkeys(measured, "plain") | erase_step.BASELINES)


def _in_bfloat16(run: Callable[[], Any]) -> Callable[[], None]:
    def run_in_bfloat16() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            run()

    return run_in_bfloat16


def _measured(run: Callable[[], Any], device: torch.device) -> Row:
    """Return the median time and the peak memory of a function, called once before."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    reset_peak_memory(device)
    try:
        run()
        seconds = [_timed(run, device) for _ in range(ROUNDS)]
    except torch.OutOfMemoryError:
        return {"seconds": None, "peak": None}
    return {"seconds": statistics.median(seconds), "peak": peak_memory(device)}


def _timed(run: Callable[[], Any], device: torch.device) -> float:
    _synchronize(device)
    begin = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - begin


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _over(measured: dict[str, Row], base: dict[str, str]) -> dict[str, Row]:
    """Return rows of a table: times and memory of each way, and over those of its base."""
    rows = {}
    for name, one in measured.items():
        other = measured[base[name]]
        rows[name] = {
            "dtype": one["dtype"],
            "tokens": one["tokens"],
            "seconds": _rounded(one["seconds"], 4) or "out of memory",
            "tokens/s": _ratio(one["tokens"], one["seconds"], None),
            "times its base": _ratio(one["seconds"], other["seconds"], 2),
            "peak MiB": _ratio(one["peak"], 2**20, None),
            "peak, times its base": _ratio(one["peak"], other["peak"], 2),
            "base": base[name],
        }
    return rows


def _ratio(one: float | None, other: float | None, digits: int | None) -> float | None:
    return _rounded(one / other, digits) if one and other else None


def _rounded(value: float | None, digits: int | None) -> float | None:
    return None if value is None else round(value, digits)


def _dtype(clm: Clm) -> str:
    return str(clm.dtype).removeprefix("torch.")
