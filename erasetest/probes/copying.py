"""Whether what a CLM recites after a text that holds it is copied from there.

Copy controls tell: the same text with something else in the place of the secret and of its copies.
A CLM that copies recites them as well. If it does not, it did not copy the secret either: it
memorized that secret together with the text, which holds a name beside an address, or a word of a
password, for example.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from erasetest.clm import Clm, encode
from erasetest.probes.guessing import CONTROLS, MIN_CONTROLS, allows_few_texts, bits, text_of
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.prompts import SecretPrompts
from erasetest.probes.token_spans import TokenSpan, score_spans
from erasetest.samples.well_known import is_well_known
from erasetest.support.statistics import above_most

FIRST_CONTROLS = 4
"""Number of copy controls of each secret; `CONTROLS` where they do not decide."""

MOST_CONTROLS = 64
"""Number of copy controls where `CONTROLS` vary too much: of as many never-seen secrets one is more
likely than all of them."""


def copy_controls(
    clm: Clm, every: Sequence[SecretPrompts], numbers: Sequence[int]
) -> list[list[TokenSpan]]:
    """Return copy controls for each secret whose text holds copies; none for the others.

    Each is a span of another text in the place of the secret, after the text with the copies
    replaced by copies of it.

    Args:
        clm: its tokenizer and window are used.
        every: the prompts of each secret.
        numbers: the controls to make, by number; the same number is the same control.
    """
    asked = [
        (place, prompts.copied.span, changed)
        for place, prompts in enumerate(every)
        if prompts.copied is not None
        for number in numbers
        if (changed := prompts.copied.control(clm, number)) is not None
    ]
    encoded = encode(clm, [changed.text for *_, changed in asked])
    found: list[list[TokenSpan]] = [[] for _ in every]
    for (place, unchanged, changed), tokens in zip(asked, encoded, strict=True):
        span = changed.span(clm, tokens, (unchanged.sample, unchanged.secret))
        if span is not None:
            found[place].append(span)
    return found


def mean_accuracy(controls: Sequence[TokenSpan]) -> float:
    """Return the mean MA of scored copy controls."""
    return statistics.fmean(_accuracies(controls))


def bits_over_copies(
    clm: Clm, secrets: Sequence[SecretPrompts], known: Sequence[Sequence[TokenSpan]]
) -> list[float | None]:
    """Return for each secret by how many bits it is more likely than copies can be.

    Positive: after the unchanged text it is more likely than 99 % of copy controls, with 95 %
    confidence (`above_most` of `CONTROLS`; of `MOST_CONTROLS` where they vary too much). What
    anybody tries first is no more likely than a copy.

    Args:
        clm: the CLM that scores the controls.
        secrets: the prompts of each secret, scored; their texts hold copies.
        known: the first, scored controls of each.

    Returns:
        Numbers of bits. None where the first controls decide that it is copied: one has the same
        MA. NaN where it cannot be told: there are no controls, its format allows too few texts, or
        it is more likely than all of `MOST_CONTROLS`, whose bound is above it all the same.
    """
    results: list[float | None] = [None] * len(secrets)
    controls = [list(found) for found in known]
    waiting = []
    for number, prompts in enumerate(secrets):
        span = _unchanged(prompts)
        if is_well_known(text_of(span)):
            results[number] = 0.0
        elif not controls[number] or _accuracy(span) > max(_accuracies(controls[number])):
            results[number] = math.nan
            if controls[number] and not allows_few_texts(clm, span):
                waiting.append(number)
    for first, last in ((FIRST_CONTROLS, CONTROLS), (CONTROLS, MOST_CONTROLS)):
        more = copy_controls(clm, [secrets[n] for n in waiting], range(first, last))
        measured = {id(s) for s in score_spans(clm, [span for found in more for span in found])}
        for number, found in zip(waiting, more, strict=True):
            controls[number] += [span for span in found if id(span) in measured]
        over = {n: _over(clm, secrets[n], controls[n]) for n in waiting}
        for number, value in over.items():
            results[number] = value
        waiting = [number for number, value in over.items() if math.isnan(value)]
    return results


def _over(clm: Clm, prompts: SecretPrompts, controls: Sequence[TokenSpan]) -> float:
    """Return the bits above the bound of copy controls; NaN if only the bound is above it."""
    if len(controls) < MIN_CONTROLS:
        return math.nan
    own, others = bits(clm, _unchanged(prompts)), [bits(clm, span) for span in controls]
    over = own - above_most(others)
    return math.nan if over <= 0 and own > max(others) else over


def _unchanged(prompts: SecretPrompts) -> TokenSpan:
    assert prompts.with_copies is not None
    return prompts.with_copies


def _accuracy(span: TokenSpan) -> float:
    return memorization_accuracy(span.scores.greedy, span.truth)


def _accuracies(spans: Sequence[TokenSpan]) -> list[float]:
    return [_accuracy(span) for span in spans]
