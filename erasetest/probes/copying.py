"""Whether what a CLM recites after a text that holds it is copied from there.

Copy controls tell: the same text with something else in the place of the secret and of its copies.
A CLM that copies recites them as well. If it does not, it did not copy the secret either: it
memorized that secret together with the text, which holds a name beside an address, or a word of a
password, for example.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from erasetest.clm import Clm, encode
from erasetest.probes.guessing import CONTROLS, bits
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.prompts import SecretPrompts
from erasetest.probes.token_spans import TokenSpan, score_spans, span_in
from erasetest.support.statistics import above_most

FIRST_CONTROLS = 4
"""Number of copy controls of each secret; `CONTROLS` where they do not decide."""


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
        (place, prompts.copied, number)
        for place, prompts in enumerate(every)
        if prompts.copied is not None
        for number in numbers
    ]
    texts = [copied.control(clm, number) for _, copied, number in asked]
    found: list[list[TokenSpan]] = [[] for _ in every]
    for (place, copied, _), text, tokens in zip(asked, texts, encode(clm, texts), strict=True):
        span = span_in(clm, text, tokens, 0, (copied.span.sample, copied.span.secret))
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
    confidence. None where the first controls decide that it is copied: one has the same MA.

    Args:
        clm: the CLM that scores the controls.
        secrets: the prompts of each secret, scored; their texts hold copies.
        known: the first, scored controls of each.
    """
    results: list[float | None] = [None] * len(secrets)
    open_ = [
        number
        for number, (prompts, controls) in enumerate(zip(secrets, known, strict=True))
        if controls and _accuracy(_unchanged(prompts)) > max(_accuracies(controls))
    ]
    more = copy_controls(clm, [secrets[n] for n in open_], range(FIRST_CONTROLS, CONTROLS))
    measured = {id(span) for span in score_spans(clm, [span for found in more for span in found])}
    for number, found in zip(open_, more, strict=True):
        others = [*known[number], *(span for span in found if id(span) in measured)]
        if len(others) > 1:
            bound = above_most([bits(clm, span) for span in others])
            results[number] = bits(clm, _unchanged(secrets[number])) - bound
    return results


def _unchanged(prompts: SecretPrompts) -> TokenSpan:
    assert prompts.with_copies is not None
    return prompts.with_copies


def _accuracy(span: TokenSpan) -> float:
    return memorization_accuracy(span.scores.greedy, span.truth)


def _accuracies(spans: Sequence[TokenSpan]) -> list[float]:
    return [_accuracy(span) for span in spans]
