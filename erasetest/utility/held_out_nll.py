"""How likely code is that the CLM was not trained on: what pass@k alone does not see."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from erasetest.clm import Clm, encode
from erasetest.errors import BadInput
from erasetest.probes.memorization_accuracy import memorization_accuracy
from erasetest.probes.token_spans import score_spans, text_spans
from erasetest.samples import SensitiveSample

LENGTH = 512
"""Tokens that are read of a text, at most."""


def held_out_likelihood(clm: Clm, texts: Sequence[SensitiveSample]) -> dict[str, float]:
    """`nats`: mean -ln p of a token; `ma`: mean over texts of the share of tokens predicted.

    And how many `texts` and `tokens` that is of. One forward pass; nothing is generated.

    Raises:
        BadInput: no text has a token.
    """
    jobs = score_spans(clm, text_spans(clm, encode(clm, texts), LENGTH))
    if not jobs:
        raise BadInput(f"none of {len(texts)} held-out texts has a token")
    losses = [-value for job in jobs for value in job.found.log_probs]
    return {
        "texts": len(jobs),
        "tokens": len(losses),
        "nats": statistics.fmean(losses),
        "ma": statistics.fmean(memorization_accuracy(job.found.greedy, job.truth) for job in jobs),
    }
