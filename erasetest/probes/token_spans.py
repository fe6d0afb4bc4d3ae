"""Spans of tokens to predict, with the tokens before them: for secrets and for whole texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from erasetest.clm import Clm, EncodedSample, Sampler, Scored, Target, encode, score
from erasetest.samples import SensitiveSample


@dataclass(slots=True, repr=False)
class TokenSpan:
    """Consecutive tokens of one sample that the CLM is to predict."""

    sample: int
    """Index of the sample."""
    secret: int
    """Index of the secret in the sample."""
    text: SensitiveSample
    """The text that was tokenized: the sample, or a copy of it with another prompt."""
    place: int
    """Index of the secret in the text."""
    encoded: EncodedSample
    """The tokens of the text."""
    begin: int
    """Index of the first of them that the CLM may read."""
    ids: tuple[int, ...]
    """Tokens before the span, then those of the span; they fit the CLM's window."""
    first: int
    """Index in `ids` of the first token of the span."""
    wanted: str
    """Text from the beginning of the first token of the span to the end of the secret."""
    scored: Scored | None = None

    @property
    def truth(self) -> tuple[int, ...]:
        """Tokens of the span."""
        return self.ids[self.first :]

    @property
    def scores(self) -> Scored:
        """Scores of the span's tokens; `score_spans` sets them."""
        assert self.scored is not None
        return self.scored


def secret_spans(
    clm: Clm, samples: Sequence[SensitiveSample], encoded: Sequence[EncodedSample]
) -> list[TokenSpan]:
    """Return a span for each secret that has tokens and fits the window after one token.

    The prompt of each is all the text before it that fits, copies of the secret included.
    """
    return [
        span
        for number, (sample, tokens) in enumerate(zip(samples, encoded, strict=True))
        for place in range(len(sample.secrets))
        if (span := span_in(clm, sample, tokens, place, (number, place))) is not None
    ]


def span_in(
    clm: Clm,
    text: SensitiveSample,
    tokens: EncodedSample,
    place: int,
    owner: tuple[int, int],
    begin: int = 0,
) -> TokenSpan | None:
    """Return the span of a secret of a text; None if it has no tokens, or does not fit the window.

    Args:
        clm: its window is used.
        text: the text.
        tokens: the text, tokenized.
        place: index of the secret in the text.
        owner: index of the sample that is measured, and of the secret in it.
        begin: index of the first token that the CLM may read.
    """
    secret, at = text.secrets[place], tokens.secrets[place]
    if len(at) == 0 or has_unknown(clm, tokens, place):
        return None
    ids, removed = visible_tokens(clm, tokens.ids[: at.last], tokens.leading, begin)
    first = at.first - removed
    # The window may be too short for the secret and one token before it.
    if first < max(1, tokens.leading) or 0 < at.first <= begin:
        return None
    wanted = text.content.reveal()[at.text_start : secret.end]
    return TokenSpan(*owner, text, place, tokens, begin, ids, first, wanted)


def visible_tokens(
    clm: Clm, ids: Sequence[int], leading: int, begin: int
) -> tuple[tuple[int, ...], int]:
    """Return the tokens that the CLM reads, and how many were removed before the last of them.

    Args:
        clm: its window is used.
        ids: the tokens of a text up to the end of a secret.
        leading: number of start tokens among them, which are always read.
        begin: index of the first other token that may be read.
    """
    start = max(begin, leading)
    if len(ids) - start + leading > clm.window:
        start = len(ids) + leading - clm.window
    return (*ids[:leading], *ids[start:]), start - leading


def has_unknown(clm: Clm, encoded: EncodedSample, place: int) -> bool:
    """Return whether a token of a secret is the unknown token, which stands for different texts."""
    unknown, at = clm.tokenizer.unk_token_id, encoded.secrets[place]
    # GPT-2's tokenizers use the end-of-text token as unknown token, but encode every byte.
    return unknown not in (None, *clm.end_tokens) and unknown in encoded.ids[at.first : at.last]


def text_spans(clm: Clm, texts: Sequence[SensitiveSample], length: int) -> list[TokenSpan]:
    """Return a span for each text of two or more tokens: all but the first of `length` tokens."""
    return [
        TokenSpan(number, 0, text, 0, tokens, 0, tokens.ids[: min(length, clm.window)], 1, "")
        for number, (text, tokens) in enumerate(zip(texts, encode(clm, texts), strict=True))
        if min(length, clm.window, len(tokens.ids)) > 1
    ]


def score_spans(
    clm: Clm, spans: Sequence[TokenSpan], sampler: Sampler | None = None
) -> list[TokenSpan]:
    """Score spans in place with one forward pass; return those whose scores are not NaN.

    Spans of the same row share one reading of it.
    """
    rows: dict[tuple[int, int, int], list[TokenSpan]] = {}
    for index, span in enumerate(spans):
        # A row that fills the window may be truncated at the left, so it starts elsewhere.
        is_whole = len(span.ids) < clm.window
        key = id(span.encoded), span.begin, -1 if is_whole else index
        rows.setdefault(key, []).append(span)
    groups = list(rows.values())
    targets = []
    for group in groups:
        longest = max(group, key=lambda span: len(span.ids))
        targets.append(Target(longest.ids, min(span.first for span in group), len(longest.ids)))
    scores = score(clm, targets, sampler=sampler)
    for group, target, scored in zip(groups, targets, scores, strict=True):
        for span in group:
            span.scored = scored.part(span.first - target.first, len(span.ids) - target.first)
    return [span for span in spans if not any(map(math.isnan, span.scores.log_probs))]
