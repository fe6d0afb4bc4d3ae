"""Likelihood of code that the CLM was not trained on, which pass@k alone does not cover."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from erasetest.clm import Clm
from erasetest.errors import BadInput
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.token_spans import score_spans, text_spans
from erasetest.samples import SensitiveSample

MAX_TOKENS = 512
"""Maximum number of tokens that are read per text."""


def held_out_likelihood(clm: Clm, texts: Sequence[SensitiveSample]) -> dict[str, float]:
    """Return the likelihood of texts, from one forward pass each; nothing is generated.

    Returns:
        `nats`: mean -ln p per token; `ma`: mean over texts of the fraction of tokens that are the
        argmax; and the number of `texts` and `tokens`.

    Raises:
        BadInput: no text has a token.
    """
    spans = score_spans(clm, text_spans(clm, texts, MAX_TOKENS))
    if not spans:
        raise BadInput(f"none of {len(texts)} held-out texts has a token")
    losses = [-value for span in spans for value in span.scores.log_probs]
    return {
        "texts": len(spans),
        "tokens": len(losses),
        "nats": statistics.fmean(losses),
        "ma": statistics.fmean(
            memorization_accuracy(span.scores.greedy, span.truth) for span in spans
        ),
    }
