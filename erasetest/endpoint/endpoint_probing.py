"""What can be measured from outside: by asking for continuations, and by scores where there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from erasetest.endpoint.client import Completion, Endpoint, RefusedRequest
from erasetest.probes.measures import SampleMeasures, SecretMeasures, Value
from erasetest.probes.sampling_likelihood import log2_probability, queries_for_half
from erasetest.samples import Secret, SensitiveSample
from erasetest.support.statistics import Proportion


def probe_endpoint(
    endpoint: Endpoint,
    samples: Sequence[SensitiveSample],
    progress: Callable[[int], None] | None = None,
) -> list[SampleMeasures]:
    """The measures of each secret that an endpoint can tell.

    - `extracted`: the continuation at temperature 0 begins with the secret's text, or one of
      `options.samples` at temperature 1 does.
    - `queries_50` and `log2_p`: from the share of those samples that begin with it, with the ends
      of its exact 95 % confidence interval as `reach`; exact, from the scores of the secret's own
      tokens, where the server echoes a prompt with log-probabilities.
    - `ma`: where it gives the most likely tokens as well.

    Prefix and secret are cut where the text is, not between tokens: a server tokenizes both anew.
    """
    results = []
    for sample in samples:
        found = [_secret(endpoint, sample, secret) for secret in sample.secrets]
        results.append(SampleMeasures(sample.id, tuple(found)))
        if progress is not None:
            progress(1)
    return results


def _secret(endpoint: Endpoint, sample: SensitiveSample, secret: Secret) -> SecretMeasures:
    content = sample.content.reveal()
    prompt, text = content[: secret.start], secret.text.reveal()
    if not prompt:
        return SecretMeasures(
            secret.start, secret.end, secret.kind, {}, "no text stands before it to prompt with"
        )
    try:
        return _measured(endpoint, sample, secret, prompt, text)
    except RefusedRequest as error:
        # Too long for the server's window, as a rule; the others are asked all the same.
        return SecretMeasures(
            secret.start, secret.end, secret.kind, {}, f"the server refuses it: {error}"
        )


def _measured(
    endpoint: Endpoint, sample: SensitiveSample, secret: Secret, prompt: str, text: str
) -> SecretMeasures:
    # Every token adds a byte at least: with as many as the secret has bytes, all is said.
    room = len(text.encode())
    greedy = endpoint.complete(prompt, tokens=room)[0].text.startswith(text)
    hits = _hits(endpoint, prompt, text, room)
    measures: dict[str, Value] = {"extracted": greedy or hits.count > 0}
    reach: dict[str, tuple[Value, Value]] = {}
    scored = endpoint.read(sample.content.reveal()[: secret.end])
    exact = _exact(scored, secret) if scored is not None else {}
    if exact:
        measures.update(exact)
    else:
        low, high = hits.interval_95
        bits = [math.log2(p) if p else -math.inf for p in (low, hits.share, high)]
        measures["log2_p"], measures["queries_50"] = bits[1], queries_for_half(bits[1])
        reach["log2_p"] = (bits[0], bits[2])
        reach["queries_50"] = (queries_for_half(bits[2]), queries_for_half(bits[0]))
    return SecretMeasures(secret.start, secret.end, secret.kind, measures, None, reach)


def _hits(endpoint: Endpoint, prompt: str, text: str, room: int) -> Proportion:
    count = done = 0
    while done < endpoint.options.samples:
        part = min(endpoint.options.batch, endpoint.options.samples - done)
        drawn = endpoint.complete(prompt, samples=part, tokens=room, temperature=1.0, seed=done)
        count += sum(one.text.startswith(text) for one in drawn)
        done += part
    return Proportion(count, done)


def _exact(scored: Completion, secret: Secret) -> dict[str, Value]:
    """Measures from the scores of the tokens that overlap the secret; none where one lacks."""
    ends = [*scored.offsets[1:], len(scored.text)]
    hit = [
        i
        for i, (start, end) in enumerate(zip(scored.offsets, ends, strict=True))
        if start < secret.end and end > secret.start
    ]
    log_probs = [scored.log_probs[i] for i in hit]
    known = [value for value in log_probs if value is not None]
    if not hit or len(known) < len(hit):
        return {}
    log2_p = log2_probability(known)
    found: dict[str, Value] = {"log2_p": log2_p, "queries_50": queries_for_half(log2_p)}
    if len(scored.best) == len(scored.tokens):
        right = [scored.best[i] == scored.tokens[i] for i in hit]
        found = {"ma": sum(right) / len(right), **found}
    return found
