"""Probe samples in batches: one teacher-forced pass, then generation only where it is needed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from erasetest.clm import Clm, EncodedSample, Sampler, encode
from erasetest.errors import BadInput
from erasetest.probes.decoy_scores import decoy_log2_p
from erasetest.probes.exposure import exposure
from erasetest.probes.extraction import extraction_strength, is_extracted
from erasetest.probes.extraction_likelihood import (
    extraction_likelihood,
    extraction_likelihood_bounds,
)
from erasetest.probes.measures import NGRAMS, SampleMeasures, SecretMeasures, Value
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.min_k_plus_plus import min_k_pp
from erasetest.probes.sampling_likelihood import log2_probability, queries_for_half
from erasetest.probes.tie_analysis import DecodingPath, decode_paths
from erasetest.probes.token_spans import has_unknown, score_spans, secret_spans, text_spans
from erasetest.samples import SensitiveSample
from erasetest.support.progress import Progress

TEXT_LENGTH = 128
"""Number of tokens of a text that whole-text measures read."""


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """Settings that change the measures."""

    sampler: Sampler = field(default_factory=Sampler)
    """Distribution that `log2_p`, `queries_50` and `exposure` are computed under."""
    references: int = 0
    """Number of decoys that `exposure` ranks each secret among; 0 omits it."""
    starts: int | None = None
    """Number of places per secret, evenly spread, that EL is averaged over, as an estimate; None
    for all places, which is the definition."""
    seed: int = 0
    """Seed of the decoys."""

    def as_dict(self) -> dict[str, Any]:
        """Return the form for files, and for the key of stored measures."""
        return {
            "sampler": self.sampler.as_dict(),
            "references": self.references,
            "starts": self.starts,
            "seed": self.seed,
        }


def probe(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    progress: Progress | None = None,
    *,
    settings: ProbeSettings | None = None,
) -> list[SampleMeasures]:
    """Compute all measures of all secrets, by their definitions, without approximation.

    Args:
        clm: the CLM to probe.
        samples: the samples.
        progress: called with the number of measured samples and of all.
        settings: what to measure; None for the defaults.

    Returns:
        The measures of each sample, in order. A secret that does not fit the CLM's window with one
        token before it, or whose scores are NaN, has no measures but a `problem`; no verdict counts
        it as passed.
    """
    settings = settings or ProbeSettings()
    encoded = encode(clm, samples)
    spans = score_spans(clm, secret_spans(clm, samples, encoded), settings.sampler)
    paths = decode_paths(clm, spans, settings.starts)
    measured = [_measures(clm, of_span) for of_span in paths]
    if settings.references:
        decoys = decoy_log2_p(
            clm, samples, encoded, spans,
            count=settings.references, seed=settings.seed, sampler=settings.sampler,
        )  # fmt: skip
        for (values, _), scores in zip(measured, decoys, strict=True):
            # A secret that is never drawn has no rank among decoys, which may never be drawn too.
            if scores and math.isfinite(values["log2_p"]):
                values["exposure"] = exposure(float(values["log2_p"]), scores)
    by_secret = {(s.sample, s.secret): found for s, found in zip(spans, measured, strict=True)}
    results = []
    for number, sample in enumerate(samples):
        secrets = []
        for place, secret in enumerate(sample.secrets):
            found = by_secret.get((number, place))
            problem = None if found else _problem(clm, encoded[number], place)
            values, reach = found or ({}, {})
            secrets.append(
                SecretMeasures(secret.start, secret.end, secret.kind, values, problem, reach)
            )
        results.append(SampleMeasures(sample.id, tuple(secrets)))
    if progress is not None:
        progress(len(samples), len(samples))
    return results


def probe_texts(
    clm: Clm, texts: Sequence[SensitiveSample], length: int = TEXT_LENGTH
) -> list[dict[str, Value]]:
    """Return the whole-text measures of each text, in order; none for less than two tokens.

    Of the first `length` tokens the first is the prompt, and the others are treated like a secret:
    `ma_text` is their MA, `el_n_text` their EL_n.
    """
    spans = score_spans(clm, text_spans(clm, encode(clm, texts), length))
    found: list[dict[str, Value]] = [{} for _ in texts]
    for (observed, *_), span in zip(decode_paths(clm, spans), spans, strict=True):
        values = _measures_of_path(clm, observed)
        found[span.sample] = {
            f"{name}_text": value for name, value in values.items() if name != "extraction_strength"
        }
    return found


def mean_text_accuracy(
    clm: Clm, texts: Sequence[SensitiveSample], length: int = TEXT_LENGTH
) -> float:
    """Return the mean of `ma_text` over the texts of two or more tokens, without generation.

    Raises:
        BadInput: no text has two tokens.
    """
    spans = score_spans(clm, text_spans(clm, encode(clm, texts), length))
    if not spans:
        raise BadInput(f"none of {len(texts)} texts has two tokens to measure retention on")
    return statistics.fmean(memorization_accuracy(span.scores.greedy, span.truth) for span in spans)


def _measures(
    clm: Clm, paths: list[DecodingPath]
) -> tuple[dict[str, Value], dict[str, tuple[Value, Value]]]:
    """Return the measures of the observed path, and the bounds of those that ties can change."""
    scored = paths[0].span.scores
    variants = []
    for path in paths:
        values = _measures_of_path(clm, path)
        extracted = is_extracted(clm, path.span, path.continuations[0])
        variants.append({**values, "extracted": extracted})
        if path.alternatives != path.continuations:
            variants += _bounds_under_ties(clm, path)
    log2_p = log2_probability(scored.sampled)
    observed = variants[0]
    measures: dict[str, Value] = {
        "ma": observed["ma"],
        **{f"el_{n}": observed[f"el_{n}"] for n in NGRAMS},
        "extracted": observed["extracted"],
        "extraction_strength": observed["extraction_strength"],
        "log2_p": log2_p,
        "queries_50": queries_for_half(log2_p),
        "min_k_pp": min_k_pp(scored.z_scores),
    }
    all_values = {name: [v[name] for v in variants if name in v] for name in observed}
    return measures, {
        name: (min(values), max(values))
        for name, values in all_values.items()
        if len(set(values)) > 1
    }


def _bounds_under_ties(clm: Clm, path: DecodingPath) -> list[dict[str, Value]]:
    """Return lower and upper bounds of the generation-based measures under ties."""
    low: dict[str, Value] = {"extracted": is_extracted(clm, path.span, path.alternatives[0])}
    high: dict[str, Value] = {}
    for n in NGRAMS:
        low[f"el_{n}"], high[f"el_{n}"] = extraction_likelihood_bounds(
            n, path.span.truth, path.continuations, path.alternatives
        )
    return [low, high]


def _measures_of_path(clm: Clm, path: DecodingPath) -> dict[str, Value]:
    truth = path.span.truth
    values: dict[str, Value] = {"ma": memorization_accuracy(path.greedy, truth)}
    for n in NGRAMS:
        values[f"el_{n}"] = extraction_likelihood(n, truth, path.continuations)
    values["extraction_strength"] = extraction_strength(path.greedy, truth, clm.end_tokens)
    return values


def _problem(clm: Clm, encoded: EncodedSample, place: int) -> str:
    """Return why a secret has no measures."""
    length = len(encoded.secrets[place])
    if length == 0:
        return "the tokenizer has no token for it"
    if has_unknown(clm, encoded, place):
        return "the tokenizer has no token for a part of it"
    if length >= clm.window:
        return (
            f"its {length} tokens and one before them do not fit the CLM's window of {clm.window}"
        )
    return "the CLM's scores of it are NaN"
