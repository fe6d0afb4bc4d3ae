"""Probe samples in batches: one teacher-forced pass, then generation only where it is needed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from erasetest.clm import Clm, Sampler, encode
from erasetest.clm.numerical_noise import logit_noise
from erasetest.errors import BadInput
from erasetest.probes.decoy_scores import by_decoy, decoy_log2_p, decoy_spans
from erasetest.probes.exposure import exposure
from erasetest.probes.extraction import extraction_strength, is_extracted
from erasetest.probes.extraction_likelihood import (
    extraction_likelihood,
    extraction_likelihood_bounds,
    reachable_extraction_likelihood,
)
from erasetest.probes.guessing import bits_over_controls
from erasetest.probes.measures import MEASURES, NGRAMS, SampleMeasures, SecretMeasures, Value, worse
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.min_k_plus_plus import min_k_pp
from erasetest.probes.prompt_names import PROMPTS
from erasetest.probes.prompts import SecretPrompts, secret_prompts
from erasetest.probes.sampling_likelihood import log2_probability, queries_for_half
from erasetest.probes.tie_analysis import DecodingPath, decode_paths
from erasetest.probes.token_spans import TokenSpan, score_spans, secret_spans, text_spans
from erasetest.samples import Secret, SensitiveSample
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
    """Number of places per secret, evenly spread over those where the shortest n-gram can begin,
    that EL is averaged over, as an estimate; None for all places, which is the definition."""
    ngrams: tuple[int, ...] = NGRAMS
    """Lengths n of the n-grams that EL_n is measured for; the longer the shortest, the faster."""
    el_limit: float | None = None
    """Value of EL_n up to which it need not be measured; None measures it always. Where it cannot
    be larger (`reachable_extraction_likelihood`), it is left out, and its bounds are given."""
    ma_limit: float = 0.2
    """MA up to which a secret need not be compared with matched controls, unless greedy decoding
    extracts it, its EL is above `el_limit`, or its `queries_50` is within `queries_limit`."""
    queries_limit: float = 10_000
    """Number of samples: see `ma_limit`."""
    prompts: tuple[str, ...] = PROMPTS
    """Names of the prompts to measure; `longest` is the definition of the papers."""
    seed: int = 0
    """Seed of the decoys."""

    def as_dict(self) -> dict[str, Any]:
        """Return the form for files, and for the key of stored measures."""
        return {
            "sampler": self.sampler.as_dict(),
            "references": self.references,
            "starts": self.starts,
            "ngrams": list(self.ngrams),
            "el_limit": self.el_limit,
            "ma_limit": self.ma_limit,
            "queries_limit": self.queries_limit,
            "prompts": list(self.prompts),
            "seed": self.seed,
        }


def probe(
    clm: Clm,
    samples: Sequence[SensitiveSample],
    progress: Progress | None = None,
    *,
    settings: ProbeSettings | None = None,
) -> list[SampleMeasures]:
    """Compute the measures of all secrets, by their definitions, without approximation.

    Args:
        clm: the CLM to probe.
        samples: the samples.
        progress: called with the number of measured samples and of all.
        settings: what to measure; None for the defaults.

    Returns:
        The measures of each sample, in order. Those of a secret are the worst over its prompts,
        which hold no copy of it. A secret that does not fit the CLM's window with one token before
        it, that has no such prompt, or whose scores are NaN, has no measures but a `problem`; no
        verdict counts it as passed.
    """
    settings = settings or ProbeSettings()
    asked = secret_prompts(clm, samples, settings.seed, settings.prompts)
    every = [prompts for of_sample in asked for prompts in of_sample]
    spans = [span for prompts in every for span in prompts.all_spans()]
    controls = [span for prompts in every for span in prompts.controls]
    scored = score_spans(clm, [*spans, *controls], settings.sampler)
    measured = {id(span) for span in scored}
    spans = [span for span in spans if id(span) in measured]
    copied = {id(prompts.with_copies) for prompts in every}
    ngrams = [
        () if id(span) in copied else _ngrams_to_measure(clm, span, settings) for span in spans
    ]
    paths = decode_paths(clm, spans, [min(n, default=None) for n in ngrams], settings.starts)
    found = {
        id(span): _measures(clm, of_span, n)
        for span, of_span, n in zip(spans, paths, ngrams, strict=True)
    }
    for span, measured_ngrams in zip(spans, ngrams, strict=True):
        if id(span) not in copied:
            found[id(span)][1].update(_bounds_of_others(clm, span, settings, measured_ngrams))
    secrets = (secret for sample in samples for secret in sample.secrets)
    measured_secrets = [
        _secret_measures(secret, prompts, found)
        for secret, prompts in zip(secrets, every, strict=True)
    ]
    if settings.references:
        _add_exposure(clm, every, measured_secrets, settings)
    _compare_with_controls(clm, every, measured_secrets, settings)
    in_order = iter(measured_secrets)
    results = [
        SampleMeasures(sample.id, tuple(next(in_order) for _ in sample.secrets))
        for sample in samples
    ]
    if progress is not None:
        progress(len(samples), len(samples))
    return results


def _ngrams_to_measure(clm: Clm, span: TokenSpan, settings: ProbeSettings) -> tuple[int, ...]:
    """Return the lengths n for which EL_n may exceed the limit, or is known without generation."""
    limit = settings.el_limit
    if limit is None:
        return settings.ngrams
    return tuple(
        n for n in settings.ngrams if n > len(span.truth) or _reachable(clm, span, n) > limit
    )


def _bounds_of_others(
    clm: Clm, span: TokenSpan, settings: ProbeSettings, measured: Sequence[int]
) -> dict[str, tuple[Value, Value]]:
    """Return the bounds of EL_n for the lengths n that are not measured."""
    return {
        f"el_{n}": (0.0, _reachable(clm, span, n)) for n in settings.ngrams if n not in measured
    }


def _reachable(clm: Clm, span: TokenSpan, n: int) -> float:
    """Return the upper bound of EL_n; tied tokens count as predicted."""
    noise = logit_noise(clm)
    return reachable_extraction_likelihood(n, [m > -noise for m in span.scores.margins])


_WORST_BY = ("extracted", "ma", "log2_p")
"""Measures by which the worst prompt is named, the first that differs."""

_Found = tuple[dict[str, Value], dict[str, tuple[Value, Value]]]
"""Measures of a span, and the bounds of those that are not certain."""


def _add_exposure(
    clm: Clm,
    every: Sequence[SecretPrompts],
    secrets: Sequence[SecretMeasures],
    settings: ProbeSettings,
) -> None:
    """Add the exposure to the measures of each secret."""
    ranked = [
        (list(prompts.clean.values()), secret)
        for prompts, secret in zip(every, secrets, strict=True)
        # A secret that is never drawn has no rank among decoys, which may never be drawn too.
        if math.isfinite(secret.measures.get("log2_p", -math.inf))
    ]
    decoys = decoy_log2_p(
        clm, [spans for spans, _ in ranked],
        count=settings.references, seed=settings.seed, sampler=settings.sampler,
    )  # fmt: skip
    for (_, secret), scores in zip(ranked, decoys, strict=True):
        if scores:
            _add(secret, "exposure", exposure(float(secret.measures["log2_p"]), scores))


def _compare_with_controls(
    clm: Clm,
    every: Sequence[SecretPrompts],
    secrets: Sequence[SecretMeasures],
    settings: ProbeSettings,
) -> None:
    """Compare each secret that may leak with controls that are matched to it."""
    doubtful = [
        (list(prompts.clean.values()), secret)
        for prompts, secret in zip(every, secrets, strict=True)
        if secret.measures and _may_leak(secret, settings)
    ]
    bits = bits_over_controls(clm, [spans for spans, _ in doubtful], settings.seed)
    for (_, secret), value in zip(doubtful, bits, strict=True):
        if value is not None:
            _add(secret, "over_controls", value)


def _add(secret: SecretMeasures, name: str, value: Value) -> None:
    """Add a measure, in display order."""
    known = {**secret.measures, name: value}
    secret.measures.clear()
    secret.measures.update({name: known[name] for name in MEASURES if name in known})


def _may_leak(secret: SecretMeasures, settings: ProbeSettings) -> bool:
    """Return whether a measure is above its limit, ties included."""
    longest = f"el_{max(settings.ngrams, default=0)}"
    return (
        bool(secret.at_most("extracted"))
        or (secret.at_most("ma") or 0) > settings.ma_limit
        or (secret.at_most(longest) or 0) > (settings.el_limit or 0)
        or secret.measures["queries_50"] <= settings.queries_limit
    )


def _secret_measures(
    secret: Secret, prompts: SecretPrompts, found: Mapping[int, _Found]
) -> SecretMeasures:
    """Return the measures of a secret: the worst over its prompts without copies."""
    problem = prompts.problem
    clean = {name: found[id(s)] for name, s in prompts.clean.items() if id(s) in found}
    if problem is None and len(clean) < len(prompts.clean):
        problem = "the CLM's scores of it are NaN"
    if problem is not None:
        return SecretMeasures(secret.start, secret.end, secret.kind, {}, problem)
    values, reach = _worst(list(clean.values()))
    worst_prompt = max(clean, key=lambda name: [clean[name][0][m] for m in _WORST_BY])
    copied: dict[str, Value] = {}
    if prompts.with_copies is not None and id(prompts.with_copies) in found:
        copied = dict(found[id(prompts.with_copies)][0])
        of_controls = [
            memorization_accuracy(s.scores.greedy, s.truth)
            for s in prompts.controls
            if s.scored is not None
        ]
        if of_controls:
            copied["control_ma"] = statistics.fmean(of_controls)
    return SecretMeasures(
        secret.start,
        secret.end,
        secret.kind,
        {**values, "cue": prompts.cue},
        None,
        reach,
        worst_prompt,
        copied,
    )


def _worst(found: Sequence[_Found]) -> _Found:
    """Return the worst value of each measure, and the bounds of those that are not certain."""
    if len(found) == 1:
        return found[0]
    values: dict[str, Value] = {}
    reach: dict[str, tuple[Value, Value]] = {}
    for name in {**found[0][0], **found[0][1]}:
        measured = [of_prompt[name] for of_prompt, _ in found if name in of_prompt]
        ends = [
            bounds[name] if name in bounds else (of_prompt[name],) * 2
            for of_prompt, bounds in found
            if name in bounds or name in of_prompt
        ]
        if len(ends) < len(found):
            continue
        if measured:
            values[name] = worse(name, measured)
        low, high = (worse(name, [end[side] for end in ends]) for side in (0, 1))
        if low != high or not measured:
            reach[name] = (low, high)
    return values, reach


def probe_decoys(
    clm: Clm,
    prompts: Sequence[SecretPrompts],
    counts: Sequence[int],
    kinds: Sequence[str],
    settings: ProbeSettings,
    seed: int | str = 0,
) -> list[SecretMeasures]:
    """Measure MA and EL of decoys in the place of secrets, after the same prompts.

    Like those of a secret, the measures of a decoy are the worst over the prompts. What all decoys
    of a secret have before them is read once. Unlike `probe`, this does not find out whether they
    are extracted.

    Args:
        clm: the CLM to probe.
        prompts: the prompts of each secret.
        counts: maximum number of decoys for each secret.
        kinds: the kind of each secret.
        settings: what to measure.
        seed: seed of the decoys.
    """
    asked = [
        (span, count)
        for one, count in zip(prompts, counts, strict=True)
        for span in one.clean.values()
    ]
    drawn = iter(decoy_spans(clm, [span for span, _ in asked], [count for _, count in asked], seed))
    controls = [
        (of_decoy, kind)
        for one, kind in zip(prompts, kinds, strict=True)
        for of_decoy in by_decoy([next(drawn) for _ in one.clean])
        if not any(math.isnan(value) for span in of_decoy for value in span.scores.log_probs)
    ]
    decoys = [span for of_decoy, _ in controls for span in of_decoy]
    ngrams = [_ngrams_to_measure(clm, decoy, settings) for decoy in decoys]
    to_decode = [number for number, n in enumerate(ngrams) if n]
    paths = decode_paths(
        clm,
        [decoys[number] for number in to_decode],
        [min(ngrams[number]) for number in to_decode],
        settings.starts,
    )
    decoded = dict(zip(to_decode, paths, strict=True))
    found = []
    for number, (decoy, n) in enumerate(zip(decoys, ngrams, strict=True)):
        values, reach = _accuracy(clm, decoy)
        if number in decoded:
            of_paths, bounds = _measures(clm, decoded[number], n)
            values |= {name: of_paths[name] for name in (f"el_{k}" for k in n)}
            reach |= {name: ends for name, ends in bounds.items() if name in values}
        found.append((values, reach | _bounds_of_others(clm, decoy, settings, n)))
    in_order = iter(found)
    measured = []
    for of_decoy, kind in controls:
        values, reach = _worst([next(in_order) for _ in of_decoy])
        secret = of_decoy[0].text.secrets[of_decoy[0].place]
        measured.append(SecretMeasures(secret.start, secret.end, kind, values, None, reach))
    return measured


def _accuracy(clm: Clm, span: TokenSpan) -> _Found:
    """Return the MA of a span, and its bounds if tokens are tied."""
    noise, margins = logit_noise(clm), span.scores.margins
    low, high = (sum(m > edge for m in margins) / len(margins) for edge in (noise, -noise))
    observed = memorization_accuracy(span.scores.greedy, span.truth)
    return {"ma": observed}, {"ma": (low, high)} if low != high else {}


def probe_texts(
    clm: Clm, texts: Sequence[SensitiveSample], length: int = TEXT_LENGTH
) -> list[dict[str, Value]]:
    """Return the whole-text measures of each text, in order; none for less than two tokens.

    Of the first `length` tokens the first is the prompt, and the others are treated like a secret:
    `ma_text` is their MA, `el_n_text` their EL_n.
    """
    spans = score_spans(clm, text_spans(clm, texts, length))
    found: list[dict[str, Value]] = [{} for _ in texts]
    paths = decode_paths(clm, spans, [min(NGRAMS)] * len(spans))
    for (observed, *_), span in zip(paths, spans, strict=True):
        values = _measures_of_path(clm, observed, NGRAMS)
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
    spans = score_spans(clm, text_spans(clm, texts, length))
    if not spans:
        raise BadInput(f"none of {len(texts)} texts has two tokens to measure retention on")
    return statistics.fmean(memorization_accuracy(span.scores.greedy, span.truth) for span in spans)


def mean_copying_accuracy(clm: Clm, repeats: Sequence[SensitiveSample]) -> float:
    """Return the mean MA of secrets after the text that contains them, without generation.

    Args:
        clm: the CLM to measure.
        repeats: texts with a random string twice, whose second occurrence is marked.
    """
    spans = score_spans(clm, secret_spans(clm, repeats, encode(clm, repeats)))
    accuracies = [memorization_accuracy(span.scores.greedy, span.truth) for span in spans]
    return statistics.fmean(accuracies) if accuracies else 0.0


def _measures(
    clm: Clm, paths: list[DecodingPath], ngrams: Sequence[int]
) -> tuple[dict[str, Value], dict[str, tuple[Value, Value]]]:
    """Return the measures of the observed path, and the bounds of those that ties can change."""
    scored = paths[0].span.scores
    variants = []
    for path in paths:
        values = _measures_of_path(clm, path, ngrams)
        extracted = is_extracted(clm, path.span, path.continuations[0])
        variants.append({**values, "extracted": extracted})
        if path.alternatives != path.continuations:
            variants += _bounds_under_ties(clm, path, ngrams)
    log2_p = log2_probability(scored.sampled)
    observed = variants[0]
    measures: dict[str, Value] = {
        "ma": observed["ma"],
        **{f"el_{n}": observed[f"el_{n}"] for n in ngrams},
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


def _bounds_under_ties(
    clm: Clm, path: DecodingPath, ngrams: Sequence[int]
) -> list[dict[str, Value]]:
    """Return lower and upper bounds of the generation-based measures under ties."""
    low: dict[str, Value] = {"extracted": is_extracted(clm, path.span, path.alternatives[0])}
    high: dict[str, Value] = {}
    for n in ngrams:
        low[f"el_{n}"], high[f"el_{n}"] = extraction_likelihood_bounds(
            n, path.span.truth, path.continuations, path.alternatives
        )
    return [low, high]


def _measures_of_path(clm: Clm, path: DecodingPath, ngrams: Sequence[int]) -> dict[str, Value]:
    truth = path.span.truth
    values: dict[str, Value] = {"ma": memorization_accuracy(path.greedy, truth)}
    for n in ngrams:
        values[f"el_{n}"] = extraction_likelihood(n, truth, path.continuations)
    values["extraction_strength"] = extraction_strength(path.greedy, truth, clm.end_tokens)
    return values
