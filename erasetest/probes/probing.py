"""Probe samples in batches: one teacher-forced pass, then generation only where it is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from erasetest.clm import Clm
from erasetest.probes.copying import (
    FIRST_CONTROLS,
    bits_over_copies,
    copy_controls,
    mean_accuracy,
)
from erasetest.probes.decoy_scores import decoy_log2_p
from erasetest.probes.exposure import exposure
from erasetest.probes.guessing import bits_over_controls
from erasetest.probes.measures import MEASURES, SampleMeasures, SecretMeasures, Value
from erasetest.probes.probe_settings import ProbeSettings
from erasetest.probes.prompts import SecretPrompts, secret_prompts
from erasetest.probes.span_measures import (
    Found,
    bounds_of_others,
    likelihood_of,
    measures_of_paths,
    ngrams_to_measure,
    worst_of,
)
from erasetest.probes.tie_analysis import decode_paths
from erasetest.probes.token_spans import TokenSpan, score_spans
from erasetest.samples import Secret, SensitiveSample
from erasetest.support.progress import Progress

_WORST_BY = ("extracted", "ma", "log2_p")
"""Measures by which the worst prompt is named, the first that differs."""


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
    spans = [
        span for prompts in every for span in (*prompts.clean.values(), prompts.with_copies) if span
    ]
    controls = copy_controls(clm, every, range(FIRST_CONTROLS))
    of_copies = [span for found in controls for span in found]
    scored = score_spans(clm, [*spans, *of_copies], settings.sampler)
    measured = {id(span) for span in scored}
    spans = [span for span in spans if id(span) in measured]
    controls = [[span for span in found if id(span) in measured] for found in controls]
    copied = {id(prompts.with_copies) for prompts in every}
    ngrams = [
        () if id(span) in copied else ngrams_to_measure(clm, span, settings) for span in spans
    ]
    paths = decode_paths(clm, spans, [min(n, default=None) for n in ngrams], settings.starts)
    found = {
        id(span): measures_of_paths(clm, of_span, n)
        for span, of_span, n in zip(spans, paths, ngrams, strict=True)
    }
    for span, measured_ngrams in zip(spans, ngrams, strict=True):
        found[id(span)][0].update(likelihood_of(span))
        if id(span) not in copied:
            found[id(span)][1].update(bounds_of_others(clm, span, settings, measured_ngrams))
    secrets = (secret for sample in samples for secret in sample.secrets)
    measured_secrets = [
        _secret_measures(secret, prompts, found, of_secret)
        for secret, prompts, of_secret in zip(secrets, every, controls, strict=True)
    ]
    if settings.references:
        _add_exposure(clm, every, measured_secrets, settings)
    _compare_with_controls(clm, every, measured_secrets, settings)
    _compare_with_copies(clm, every, measured_secrets, controls, settings)
    in_order = iter(measured_secrets)
    results = [
        SampleMeasures(sample.id, tuple(next(in_order) for _ in sample.secrets))
        for sample in samples
    ]
    if progress is not None:
        progress(len(samples), len(samples))
    return results


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
        if secret.measures and _may_leak(secret.at_most, settings)
    ]
    bits = bits_over_controls(clm, [spans for spans, _ in doubtful], settings.seed)
    for (_, secret), value in zip(doubtful, bits, strict=True):
        _add(secret, "over_controls", value)


def _compare_with_copies(
    clm: Clm,
    every: Sequence[SecretPrompts],
    secrets: Sequence[SecretMeasures],
    controls: Sequence[Sequence[TokenSpan]],
    settings: ProbeSettings,
) -> None:
    """Compare each secret that is recited after its copies with copy controls."""
    doubtful = [
        n for n, one in enumerate(secrets) if one.copied and _may_leak(one.copied.get, settings)
    ]
    bits = bits_over_copies(clm, [every[n] for n in doubtful], [controls[n] for n in doubtful])
    for number, value in zip(doubtful, bits, strict=True):
        if value is not None:
            secrets[number].copied["over_controls"] = value


def _add(secret: SecretMeasures, name: str, value: Value) -> None:
    """Add a measure, in display order."""
    known = {**secret.measures, name: value}
    secret.measures.clear()
    secret.measures.update({name: known[name] for name in MEASURES if name in known})


def _may_leak(value_of: Callable[[str], Value | None], settings: ProbeSettings) -> bool:
    """Return whether a measure is above its limit."""
    longest, queries = f"el_{max(settings.ngrams, default=0)}", value_of("queries_50")
    return (
        bool(value_of("extracted"))
        or (value_of("ma") or 0) > settings.ma_limit
        or (value_of(longest) or 0) > (settings.el_limit or 0)
        or (queries is not None and queries <= settings.queries_limit)
    )


def _secret_measures(
    secret: Secret,
    prompts: SecretPrompts,
    found: Mapping[int, Found],
    controls: Sequence[TokenSpan],
) -> SecretMeasures:
    """Return the measures of a secret: the worst over its prompts without copies."""
    problem = prompts.problem
    clean = {name: found[id(s)] for name, s in prompts.clean.items() if id(s) in found}
    unchanged = prompts.with_copies
    incomplete = unchanged is not None and id(unchanged) not in found
    if problem is None and (len(clean) < len(prompts.clean) or incomplete):
        problem = "the CLM's scores of it are NaN"
    if problem is not None:
        return SecretMeasures(secret.start, secret.end, secret.kind, {}, problem)
    values, reach = worst_of(list(clean.values()))
    worst_prompt = max(clean, key=lambda name: [clean[name][0][m] for m in _WORST_BY])
    copied: dict[str, Value] = {}
    if unchanged is not None:
        copied = dict(found[id(unchanged)][0])
        if controls:
            copied["control_ma"] = mean_accuracy(controls)
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
