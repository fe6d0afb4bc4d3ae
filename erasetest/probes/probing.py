"""Probe samples in batches: one teacher-forced pass, then generation where it is needed alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from erasetest.clm import Clm, EncodedSample, Sampler, encode
from erasetest.errors import BadInput
from erasetest.probes.decoy_scores import decoy_log2_p
from erasetest.probes.exposure import exposure
from erasetest.probes.extraction import extraction_strength, is_extracted
from erasetest.probes.extraction_likelihood import (
    extraction_likelihood,
    extraction_likelihood_ends,
)
from erasetest.probes.measures import NGRAMS, SampleMeasures, SecretMeasures, Value
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.min_k_plus_plus import min_k_pp
from erasetest.probes.sampling_likelihood import log2_probability, queries_for_half
from erasetest.probes.tie_analysis import Path, decode_paths
from erasetest.probes.token_spans import has_unknown, score_spans, secret_spans, text_spans
from erasetest.samples import SensitiveSample

TEXT_LENGTH = 128
"""Tokens of a text that are read for its whole-text measures, as in the paper."""


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What changes the numbers of a probe.

    With `starts`, EL is the mean over that many places spread evenly over each secret instead of
    over all: an estimate, for calibration, where many never-seen secrets are read. `references`
    is the number of never-seen secrets that exposure ranks each secret among; 0 leaves it out.
    """

    sampler: Sampler = field(default_factory=Sampler)
    references: int = 0
    starts: int | None = None
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As it stands in files, and in the key of what is kept."""
        return {
            "sampler": self.sampler.as_dict(),
            "references": self.references,
            "starts": self.starts,
            "seed": self.seed,
        }


def probe(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    progress: Callable[[int], None] | None = None,
    *,
    settings: ProbeSettings | None = None,
) -> list[SampleMeasures]:
    """All measures of all secrets, in the order given; exact by definition.

    A secret whose tokens alone do not fit the CLM's window, or where the CLM gives no numbers, gets
    no measures but a problem, which no verdict takes for a pass. `progress` is told how many
    samples are done.
    """
    settings = settings or ProbeSettings()
    encoded = encode(clm, samples)
    jobs = score_spans(clm, secret_spans(clm, samples, encoded), settings.sampler)
    paths = decode_paths(clm, jobs, settings.starts)
    measured = [_measures(clm, mine) for mine in paths]
    if settings.references:
        ranks = decoy_log2_p(clm, samples, encoded, jobs, settings)
        for (values, _), references in zip(measured, ranks, strict=True):
            # A secret that is never drawn has no rank among those that are not either.
            if references and math.isfinite(values["log2_p"]):
                values["exposure"] = exposure(float(values["log2_p"]), references)
    found = {(job.sample, job.secret): one for job, one in zip(jobs, measured, strict=True)}
    results = []
    for number, sample in enumerate(samples):
        secrets = []
        for place, secret in enumerate(sample.secrets):
            mine = found.get((number, place))
            problem = None if mine else _problem(clm, encoded[number], place)
            values, reach = mine or ({}, {})
            secrets.append(
                SecretMeasures(secret.start, secret.end, secret.kind, values, problem, reach)
            )
        results.append(SampleMeasures(sample.id, tuple(secrets)))
    if progress is not None:
        progress(len(samples))
    return results


def probe_texts(
    clm: Clm, texts: Sequence[SensitiveSample], length: int = TEXT_LENGTH
) -> list[dict[str, Value]]:
    """The whole-text measures of each text, in the order given; none for less than two tokens.

    The first token is given. `ma_text` is the share of the others that the CLM predicts, and
    `el_n_text` the mean over the T - n places that extraction may start from, T the tokens read.
    """
    jobs = score_spans(clm, text_spans(clm, encode(clm, texts), length))
    found: list[dict[str, Value]] = [{} for _ in texts]
    for (seen, *_), job in zip(decode_paths(clm, jobs), jobs, strict=True):
        values = _of_path(clm, seen)
        found[job.sample] = {
            f"{name}_text": value for name, value in values.items() if name != "extraction_strength"
        }
    return found


def mean_text_accuracy(
    clm: Clm, texts: Sequence[SensitiveSample], length: int = TEXT_LENGTH
) -> float:
    """The mean of `ma_text` over texts, of two tokens or more each; nothing is generated for it."""
    jobs = score_spans(clm, text_spans(clm, encode(clm, texts), length))
    if not jobs:
        raise BadInput(f"none of {len(texts)} texts has two tokens to measure retention on")
    return statistics.fmean(memorization_accuracy(job.found.greedy, job.truth) for job in jobs)


def _measures(
    clm: Clm, paths: list[Path]
) -> tuple[dict[str, Value], dict[str, tuple[Value, Value]]]:
    """The measures of the path that was seen, and what they may be on the others."""
    scored = paths[0].job.found
    ways = []
    for path in paths:
        values = _of_path(clm, path)
        extracted = is_extracted(clm, path.job, path.continuations[0])
        ways.append({**values, "extracted": extracted})
        if path.others != path.continuations:
            ways += _other_ways(clm, path)
    log2_p = log2_probability(scored.sampled)
    seen = ways[0]
    measures: dict[str, Value] = {
        "ma": seen["ma"],
        **{f"el_{n}": seen[f"el_{n}"] for n in NGRAMS},
        "extracted": seen["extracted"],
        "extraction_strength": seen["extraction_strength"],
        "log2_p": log2_p,
        "queries_50": queries_for_half(log2_p),
        "min_k_pp": min_k_pp(scored.z_scores),
    }
    ends = {name: [way[name] for way in ways if name in way] for name in seen}
    return measures, {
        name: (min(values), max(values)) for name, values in ends.items() if len(set(values)) > 1
    }


def _other_ways(clm: Clm, path: Path) -> list[dict[str, Value]]:
    """What ties within the continuations may make of the measures that hang on those."""
    low: dict[str, Value] = {"extracted": is_extracted(clm, path.job, path.others[0])}
    high: dict[str, Value] = {}
    for n in NGRAMS:
        low[f"el_{n}"], high[f"el_{n}"] = extraction_likelihood_ends(
            n, path.job.truth, path.continuations, path.others
        )
    return [low, high]


def _of_path(clm: Clm, path: Path) -> dict[str, Value]:
    truth = path.job.truth
    values: dict[str, Value] = {"ma": memorization_accuracy(path.greedy, truth)}
    for n in NGRAMS:
        values[f"el_{n}"] = extraction_likelihood(n, truth, path.continuations)
    values["extraction_strength"] = extraction_strength(path.greedy, truth, clm.end_tokens)
    return values


def _problem(clm: Clm, encoded: EncodedSample, place: int) -> str:
    length = len(encoded.secrets[place])
    if length == 0:
        return "the tokenizer has no token for it"
    if has_unknown(clm, encoded, place):
        return "the tokenizer has no token for a part of it"
    if length >= clm.window:
        return (
            f"its {length} tokens and one before them do not fit the CLM's window of {clm.window}"
        )
    return "the CLM's scores of it are not numbers"
