"""Measures of whole texts, and of strings that texts repeat."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from erasetest.clm import Clm, encode
from erasetest.errors import BadInput
from erasetest.probes.measures import NGRAMS, Value
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.span_measures import measures_of_path
from erasetest.probes.tie_analysis import decode_paths
from erasetest.probes.token_spans import score_spans, secret_spans, text_spans
from erasetest.samples import SensitiveSample

TEXT_LENGTH = 128
"""Number of tokens of a text that whole-text measures read."""


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
        values = measures_of_path(clm, observed, NGRAMS)
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
