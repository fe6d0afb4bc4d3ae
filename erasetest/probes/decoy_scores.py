"""Scores of decoys: random secrets of the same format, put in a secret's place in its context."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from erasetest.clm import Branch, Clm, Sampler, encode, score_branches
from erasetest.clm.encoding import overlapping
from erasetest.probes.sampling_likelihood import log2_probability
from erasetest.probes.token_spans import TokenSpan
from erasetest.samples import Secret, make_sample
from erasetest.samples.decoys import decoy

_BEFORE = 64
"""Characters before a secret from which the text with a decoy is tokenized again."""

_AFTER = 64
"""Characters after a secret that are tokenized with it, since they can change its last token."""


def decoy_log2_p(
    clm: Clm,
    spans: Sequence[TokenSpan],
    *,
    count: int,
    seed: int = 0,
    sampler: Sampler | None = None,
) -> list[list[float]]:
    """Return log2_p, in bits, of decoys in the place of each span's secret.

    Args:
        clm: the CLM that scores them.
        spans: a span for each secret.
        count: number of decoys per secret.
        seed: seed of the decoys.
        sampler: distribution that the probabilities are of; None for the CLM's own.

    Returns:
        For each span up to `count` numbers: fewer if the format allows few secrets, none if it
        allows only one.
    """
    found = decoy_spans(clm, spans, [count] * len(spans), seed, sampler)
    return [[log2_probability(span.scores.sampled) for span in decoys] for decoys in found]


def decoy_spans(
    clm: Clm,
    spans: Sequence[TokenSpan],
    counts: Sequence[int],
    seed: int | str = 0,
    sampler: Sampler | None = None,
) -> list[list[TokenSpan]]:
    """Return scored spans of decoys in the place of each span's secret.

    The tokens that all decoys of a secret have in common before them are read once.

    The text that they want is still that of the secret: they serve to measure MA and EL.

    Args:
        clm: the CLM that scores them.
        spans: a span for each secret.
        counts: maximum number of decoys for each of them.
        seed: seed of the decoys.
        sampler: distribution of the column `sampled`; None for the CLM's own.
    """
    rows: list[tuple[int, ...]] = []
    branches: list[Branch] = []
    owners: list[tuple[int, TokenSpan, int]] = []
    for number, (span, count) in enumerate(zip(spans, counts, strict=True)):
        copies = _with_decoys(clm, span, count, seed)
        shared = _common_length([copy.ids for copy in copies]) if copies else 0
        # Where the window truncates a copy depends on its length, and moves all positions.
        by_begin: dict[int, list[_Copy]] = {}
        for copy in copies:
            by_begin.setdefault(max(span.begin, len(copy.ids) - clm.window), []).append(copy)
        for begin, alike in by_begin.items():
            for copy in alike:
                split = min(copy.first, shared)
                if split > begin:
                    branches.append(Branch(len(rows), split - begin, copy.ids[split:]))
                    ids, first = copy.ids[begin:], copy.first - begin
                    made = replace(span, ids=ids, first=first, scored=None)
                    owners.append((number, made, copy.first - split))
            rows.append(alike[0].ids[begin:])
    found: list[list[TokenSpan]] = [[] for _ in spans]
    scores = score_branches(clm, rows, branches, sampler)
    for (number, made, before), scored in zip(owners, scores, strict=True):
        made.scored = scored.part(before, before + len(made.truth))
        found[number].append(made)
    return found


def _common_length(rows: list[tuple[int, ...]]) -> int:
    """Return the length of the longest common prefix: that of the smallest and the largest row."""
    smallest, largest = min(rows), max(rows)
    pairs = itertools.takewhile(
        lambda pair: pair[0] == pair[1], zip(smallest, largest, strict=False)
    )
    return sum(1 for _ in pairs)


class _Copy(NamedTuple):
    """Tokens of a sample with a decoy, to the decoy's last, and the index of its first."""

    ids: tuple[int, ...]
    first: int


def _with_decoys(clm: Clm, span: TokenSpan, count: int, seed: int | str) -> list[_Copy]:
    """Return the text tokenized with up to `count` decoys in the place of the span's secret."""
    content, secret = span.text.content.reveal(), span.text.secrets[span.place]
    rng = random.Random(f"{seed} {span.text.id} {span.secret}")
    text = secret.text.reveal()
    drawn = (decoy(text, secret.kind, rng) for _ in range(count))
    decoys = [one for one in drawn if one != text]
    if not decoys:
        return []
    after = content[secret.end : secret.end + _AFTER]
    start = _retokenize_from(clm, content, after, secret, span)
    if start is None:
        whole = [
            make_sample(
                content[: secret.start] + one + after, [(secret.start, secret.end, secret.kind)]
            )
            for one in decoys
        ]
        copies = [(copy.ids, copy.secrets[0]) for copy in encode(clm, whole)]
        return [_Copy(ids[: at.last], at.first) for ids, at in copies if len(at)]
    place, begin = start
    texts = [content[begin : secret.start] + one + after for one in decoys]
    found = []
    for ids, (first, last) in _tokenize(clm, texts, secret.start - begin, secret.end - begin):
        found.append(_Copy((*span.encoded.ids[:place], *ids[:last]), place + first))
    return found


def _retokenize_from(
    clm: Clm,
    content: str,
    after: str,
    secret: Secret,
    span: TokenSpan,
) -> tuple[int, int] | None:
    """Return the index of a token shortly before the secret, and the code point it begins at.

    Tokenizing whole texts for every decoy would take longer than scoring them. None if the text
    from there on, tokenized alone, gets other tokens than within the whole text.
    """
    encoded = span.encoded
    place = bisect.bisect_left(encoded.text_starts, secret.start - _BEFORE)
    if not 0 < place < encoded.secrets[span.place].first:
        return None
    begin = encoded.text_starts[place]
    text = content[begin : secret.end] + after
    ((ids, (_, last)),) = _tokenize(clm, [text], secret.start - begin, secret.end - begin)
    same = tuple(ids[:last]) == encoded.ids[place : encoded.secrets[span.place].last]
    return (place, begin) if same else None


def _tokenize(
    clm: Clm, texts: list[str], start: int, end: int
) -> list[tuple[list[int], tuple[int, int]]]:
    """Return tokens of texts, and which of them overlap `[start, end)`; skip texts without any."""
    tokens = clm.tokenizer(
        texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    found = []
    for text, ids, offsets in zip(
        texts, tokens["input_ids"], tokens["offset_mapping"], strict=True
    ):
        hit = overlapping(clm, text, ids, offsets, start, end)
        if hit is not None:
            found.append((ids, hit))
    return found
