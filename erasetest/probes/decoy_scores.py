"""Scores of other texts in the place of a secret: decoys, and controls that are matched to it."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from erasetest.clm import Branch, Clm, Sampler, encode, score_branches
from erasetest.clm.encoding import overlapping
from erasetest.probes.sampling_likelihood import log2_probability
from erasetest.probes.token_spans import TokenSpan, visible_tokens
from erasetest.samples import Secret, make_sample
from erasetest.samples.decoys import decoy

_BEFORE = 64
"""Characters before a secret from which the text with a decoy is tokenized again."""

_AFTER = 64
"""Characters after a secret that are tokenized with it, since they can change its last token."""


def decoy_log2_p(
    clm: Clm,
    prompts: Sequence[Sequence[TokenSpan]],
    *,
    count: int,
    seed: int = 0,
    sampler: Sampler | None = None,
) -> list[list[float]]:
    """Return log2_p, in bits, of decoys in the place of each secret.

    Args:
        clm: the CLM that scores them.
        prompts: for each secret a span for each of its prompts.
        count: number of decoys per secret.
        seed: seed of the decoys.
        sampler: distribution that the probabilities are of; None for the CLM's own.

    Returns:
        For each secret up to `count` numbers, each the largest over the prompts: fewer if the
        format allows few secrets, none if it allows only one.
    """
    spans = [span for of_secret in prompts for span in of_secret]
    found = iter(decoy_spans(clm, spans, [count] * len(spans), seed, sampler))
    return [
        [
            max(log2_probability(span.scores.sampled) for span in of_decoy)
            for of_decoy in by_decoy([next(found) for _ in of_secret])
        ]
        for of_secret in prompts
    ]


def by_decoy(found: Sequence[Mapping[int, TokenSpan]]) -> list[list[TokenSpan]]:
    """Return for each decoy its spans after all prompts, leaving out what one of them lacks."""
    numbers = [n for n in found[0] if all(n in other for other in found)] if found else []
    return [[of_prompt[number] for of_prompt in found] for number in numbers]


def decoy_spans(
    clm: Clm,
    spans: Sequence[TokenSpan],
    counts: Sequence[int],
    seed: int | str = 0,
    sampler: Sampler | None = None,
) -> list[dict[int, TokenSpan]]:
    """Return scored spans of decoys in the place of each span's secret, by number.

    Spans of the same secret after different prompts have the same decoys.

    Args:
        clm: the CLM that scores them.
        spans: a span for each secret and prompt.
        counts: maximum number of decoys for each of them.
        seed: seed of the decoys.
        sampler: distribution of the column `sampled`; None for the CLM's own.
    """
    texts = []
    for span, count in zip(spans, counts, strict=True):
        rng = random.Random(f"{seed} {span.text.id} {span.secret}")
        secret = span.text.secrets[span.place]
        text = secret.text.reveal()
        drawn = [decoy(text, secret.kind, rng) for _ in range(count)]
        texts.append({number: one for number, one in enumerate(drawn) if one != text})
    return replaced_spans(clm, spans, texts, sampler)


def replaced_spans(
    clm: Clm,
    spans: Sequence[TokenSpan],
    texts: Sequence[Mapping[int, str]],
    sampler: Sampler | None = None,
) -> list[dict[int, TokenSpan]]:
    """Return scored spans of other texts in the place of each span's secret.

    The tokens that all texts of a span have in common before them are read once.

    The text that they want is still that of the secret: they serve to measure MA and EL.

    Args:
        clm: the CLM that scores them.
        spans: a span for each secret and prompt.
        texts: for each of them the texts, by number; they have the length of the secret.
        sampler: distribution of the column `sampled`; None for the CLM's own.
    """
    rows: list[tuple[int, ...]] = []
    branches: list[Branch] = []
    owners: list[tuple[int, int, TokenSpan, int]] = []
    for place, (span, of_span) in enumerate(zip(spans, texts, strict=True)):
        copies = _with_texts(clm, span, of_span)
        shared = _common_length([copy.ids for copy in copies]) if copies else 0
        # Where the window truncates a copy depends on its length, and moves all positions.
        by_removed: dict[int, list[tuple[_Copy, tuple[int, ...]]]] = {}
        for copy in copies:
            row, removed = visible_tokens(clm, copy.ids, span.encoded.leading, span.begin)
            by_removed.setdefault(removed, []).append((copy, row))
        for removed, alike in by_removed.items():
            for copy, row in alike:
                first = copy.first - removed
                # Start tokens are the same for all, wherever the other tokens begin.
                split = max(min(copy.first, shared) - removed, min(span.encoded.leading, first))
                if split > 0:
                    branches.append(Branch(len(rows), split, row[split:]))
                    made = replace(span, ids=row, first=first, scored=None)
                    owners.append((place, copy.number, made, first - split))
            rows.append(alike[0][1])
    found: list[dict[int, TokenSpan]] = [{} for _ in spans]
    scores = score_branches(clm, rows, branches, sampler)
    for (place, number, made, before), scored in zip(owners, scores, strict=True):
        made.scored = scored.part(before, before + len(made.truth))
        found[place][number] = made
    return found


def _common_length(rows: list[tuple[int, ...]]) -> int:
    """Return the length of the longest common prefix: that of the smallest and the largest row."""
    smallest, largest = min(rows), max(rows)
    pairs = itertools.takewhile(
        lambda pair: pair[0] == pair[1], zip(smallest, largest, strict=False)
    )
    return sum(1 for _ in pairs)


@dataclass(frozen=True, slots=True, repr=False)
class _Copy:
    """Tokens of a text with something else in the secret's place, to the last of that."""

    number: int
    ids: tuple[int, ...]
    first: int
    """Index of the first token of what is in the secret's place."""


def _with_texts(clm: Clm, span: TokenSpan, texts: Mapping[int, str]) -> list[_Copy]:
    """Return the text tokenized with other texts in the place of the span's secret."""
    if not texts:
        return []
    content, secret = span.text.content.reveal(), span.text.secrets[span.place]
    after = content[secret.end : secret.end + _AFTER]
    start = _retokenize_from(clm, content, after, secret, span)
    if start is None:
        whole = [
            make_sample(
                content[: secret.start] + one + after, [(secret.start, secret.end, secret.kind)]
            )
            for one in texts.values()
        ]
        return [
            _Copy(number, copy.ids[: at.last], at.first)
            for number, copy in zip(texts, encode(clm, whole), strict=True)
            for at in copy.secrets
            if len(at)
        ]
    place, begin = start
    written = [content[begin : secret.start] + one + after for one in texts.values()]
    tokens = _tokenize(clm, written, secret.start - begin, secret.end - begin)
    return [
        _Copy(number, (*span.encoded.ids[:place], *ids[: hit[1]]), place + hit[0])
        for number, (ids, hit) in zip(texts, tokens, strict=True)
        if hit is not None
    ]


def count_tokens(clm: Clm, span: TokenSpan, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each text in the place of the span's secret."""
    copies = _with_texts(clm, span, dict(enumerate(texts)))
    counts = {copy.number: len(copy.ids) - copy.first for copy in copies}
    return [counts.get(number, 0) for number in range(len(texts))]


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
    ((ids, hit),) = _tokenize(clm, [text], secret.start - begin, secret.end - begin)
    same = hit and tuple(ids[: hit[1]]) == encoded.ids[place : encoded.secrets[span.place].last]
    return (place, begin) if same else None


def _tokenize(
    clm: Clm, texts: list[str], start: int, end: int
) -> list[tuple[list[int], tuple[int, int] | None]]:
    """Return tokens of texts, and which of them overlap `[start, end)`; None if none does."""
    tokens = clm.tokenizer(
        texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    return [
        (ids, overlapping(clm, text, ids, offsets, start, end))
        for text, ids, offsets in zip(
            texts, tokens["input_ids"], tokens["offset_mapping"], strict=True
        )
    ]
