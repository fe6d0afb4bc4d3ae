"""The measures of one token span, and the worst of several."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.clm import Clm
from erasetest.clm.numerical_noise import logit_noise
from erasetest.probes.extraction import extraction_strength, is_extracted
from erasetest.probes.extraction_likelihood import (
    extraction_likelihood,
    extraction_likelihood_bounds,
    reachable_extraction_likelihood,
)
from erasetest.probes.measures import Value, worse
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.min_k_plus_plus import min_k_pp
from erasetest.probes.probe_settings import ProbeSettings
from erasetest.probes.sampling_likelihood import log2_probability, queries_for_half
from erasetest.probes.tie_analysis import DecodingPath
from erasetest.probes.token_spans import TokenSpan

Found = tuple[dict[str, Value], dict[str, tuple[Value, Value]]]
"""Measures of a span, and the bounds of those that are not certain."""


def measures_of_paths(
    clm: Clm, paths: list[DecodingPath], ngrams: Sequence[int]
) -> tuple[dict[str, Value], dict[str, tuple[Value, Value]]]:
    """Return the measures of the observed path, and the bounds of those that ties can change."""
    variants = []
    for path in paths:
        values = measures_of_path(clm, path, ngrams)
        extracted = is_extracted(clm, path.span, path.continuations[0])
        variants.append({**values, "extracted": extracted})
        if path.alternatives != path.continuations:
            variants += _bounds_under_ties(clm, path, ngrams)
    observed = variants[0]
    measures: dict[str, Value] = {
        "ma": observed["ma"],
        **{f"el_{n}": observed[f"el_{n}"] for n in ngrams},
        "extracted": observed["extracted"],
        "extraction_strength": observed["extraction_strength"],
    }
    all_values = {name: [v[name] for v in variants if name in v] for name in observed}
    return measures, {
        name: (min(values), max(values))
        for name, values in all_values.items()
        if len(set(values)) > 1
    }


def likelihood_of(span: TokenSpan) -> dict[str, Value]:
    """Return the measures of a span that are about its probability."""
    log2_p = log2_probability(span.scores.sampled)
    return {
        "log2_p": log2_p,
        "queries_50": queries_for_half(log2_p),
        "min_k_pp": min_k_pp(span.scores.z_scores),
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


def measures_of_path(clm: Clm, path: DecodingPath, ngrams: Sequence[int]) -> dict[str, Value]:
    """Return MA, EL_n and extraction strength of one way to resolve the ties of a span."""
    truth = path.span.truth
    values: dict[str, Value] = {"ma": memorization_accuracy(path.greedy, truth)}
    for n in ngrams:
        values[f"el_{n}"] = extraction_likelihood(n, truth, path.continuations)
    values["extraction_strength"] = extraction_strength(path.greedy, truth, clm.end_tokens)
    return values


def accuracy_of(clm: Clm, span: TokenSpan) -> Found:
    """Return the MA of a span, and its bounds if tokens are tied."""
    noise, margins = logit_noise(clm), span.scores.margins
    low, high = (sum(m > edge for m in margins) / len(margins) for edge in (noise, -noise))
    observed = memorization_accuracy(span.scores.greedy, span.truth)
    return {"ma": observed}, {"ma": (low, high)} if low != high else {}


def ngrams_to_measure(clm: Clm, span: TokenSpan, settings: ProbeSettings) -> tuple[int, ...]:
    """Return the lengths n for which EL_n may exceed the limit, or is known without generation."""
    limit = settings.el_limit
    if limit is None:
        return settings.ngrams
    return tuple(
        n for n in settings.ngrams if n > len(span.truth) or _reachable(clm, span, n) > limit
    )


def bounds_of_others(
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


def worst_of(found: Sequence[Found]) -> Found:
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
