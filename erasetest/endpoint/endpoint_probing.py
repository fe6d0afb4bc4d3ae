"""Measures of a CLM behind an endpoint: from its completions, and from scores if it returns any."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from erasetest.endpoint.client import Completion, Endpoint, RefusedRequest
from erasetest.probes.measures import SampleMeasures, SecretMeasures, Value
from erasetest.probes.sampling_likelihood import log2_probability, queries_for_half
from erasetest.samples import Secret, SensitiveSample
from erasetest.samples.copies import CopySearch, without_copies
from erasetest.samples.decoys import decoy
from erasetest.support.progress import Progress
from erasetest.support.statistics import Proportion


def probe_endpoint(
    endpoint: Endpoint,
    samples: Sequence[SensitiveSample],
    progress: Progress | None = None,
) -> list[SampleMeasures]:
    """Measure each secret as far as an endpoint allows.

    - `extracted`: the completion at temperature 0 starts with the secret's text, or one of
      `options.samples` completions at temperature 1 does.
    - `log2_p` and `queries_50`: from the scores of the secret's tokens if the server echoes prompts
      with log-probabilities. Otherwise from the share of those samples that start with the secret;
      `reach` is then the exact 95 % confidence interval of that share (Clopper-Pearson).
    - `ma`: only if the server also returns the most likely tokens.

    Copies of the secret in its prompt are replaced by one decoy. The prompt ends at the first
    character of the secret, which need not be the end of a token: the tokenizer of the server is
    unknown.

    Args:
        endpoint: the endpoint.
        samples: the samples.
        progress: called with the number of measured samples and of all.
    """
    results = []
    for sample in samples:
        found = [_measure_secret(endpoint, sample, secret) for secret in sample.secrets]
        results.append(SampleMeasures(sample.id, tuple(found)))
        if progress is not None:
            progress(len(results), len(samples))
    return results


def _measure_secret(endpoint: Endpoint, sample: SensitiveSample, secret: Secret) -> SecretMeasures:
    if not secret.start:
        return _unmeasured(secret, "it has no text before it to prompt with")
    content = sample.content.reveal()
    cue = CopySearch(content).find(secret.start, secret.end, secret.kind).cue
    # What a CLM copies from its prompt is not what it memorized.
    rng = random.Random(f"{sample.id} {secret.start} copies")
    other = decoy(secret.text.reveal(), secret.kind, rng)
    replaced = without_copies(content, secret.start, secret.end, secret.kind, other)
    if replaced is None:
        return _unmeasured(secret, "the text before it holds it, in a form that is not replaced")
    try:
        return _prompt_for_secret(endpoint, replaced, secret, cue)
    except RefusedRequest as error:
        # Usually a prompt longer than the server's window; other secrets are still measured.
        return _unmeasured(secret, f"the server refuses the request: {error}")


def _unmeasured(secret: Secret, problem: str) -> SecretMeasures:
    return SecretMeasures(secret.start, secret.end, secret.kind, {}, problem)


def _prompt_for_secret(
    endpoint: Endpoint, content: str, secret: Secret, cue: float
) -> SecretMeasures:
    prompt, text = content[: secret.start], secret.text.reveal()
    # A token adds at least one byte, so as many tokens as the text has bytes are enough.
    room = len(text.encode())
    greedy = endpoint.complete(prompt, tokens=room)[0].text.startswith(text)
    hits = _extracting_samples(endpoint, prompt, text, room)
    measures: dict[str, Value] = {"extracted": greedy or hits.count > 0}
    reach: dict[str, tuple[Value, Value]] = {}
    scored = endpoint.read(content[: secret.end])
    exact = _measures_of_scores(scored, secret) if scored is not None else {}
    if exact:
        measures.update(exact)
    else:
        low, high = hits.interval_95
        bits = [math.log2(p) if p else -math.inf for p in (low, hits.share, high)]
        measures["log2_p"], measures["queries_50"] = bits[1], queries_for_half(bits[1])
        reach["log2_p"] = (bits[0], bits[2])
        reach["queries_50"] = (queries_for_half(bits[2]), queries_for_half(bits[0]))
    measures["cue"] = cue
    return SecretMeasures(secret.start, secret.end, secret.kind, measures, None, reach)


def _extracting_samples(endpoint: Endpoint, prompt: str, text: str, room: int) -> Proportion:
    """Return the share of samples that start with the text."""
    count = done = 0
    while done < endpoint.options.samples:
        part = min(endpoint.options.batch, endpoint.options.samples - done)
        drawn = endpoint.complete(prompt, samples=part, tokens=room, temperature=1.0, seed=done)
        count += sum(one.text.startswith(text) for one in drawn)
        done += part
    return Proportion(count, done)


def _measures_of_scores(scored: Completion, secret: Secret) -> dict[str, Value]:
    """Return measures from the scores of the secret's tokens; none if any score is missing."""
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
