"""Tokenize samples, and find the tokens of their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from erasetest.clm.model import Clm
from erasetest.samples import SensitiveSample


@dataclass(frozen=True, slots=True, repr=False)
class EncodedSecret:
    """Tokens `[first, last)` of a sample that contain a secret; empty if no token does."""

    first: int
    last: int
    text_start: int
    """Code point at which the first of these tokens begins; before the secret if that token also
    contains text before it."""

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True, slots=True, repr=False)
class EncodedSample:
    """A sample, tokenized as a whole, and the tokens of its secrets.

    If a secret begins at the first token, `ids` has an additional start token before it, because
    the first token of a text cannot be predicted.
    """

    ids: tuple[int, ...]
    secrets: tuple[EncodedSecret, ...]
    text_starts: tuple[int, ...]
    """Code point at which each token begins."""
    leading: int = 0
    """Number of start tokens that the tokenizer puts before a text: every prompt begins with
    them."""


def encode(clm: Clm, samples: Sequence[SensitiveSample]) -> list[EncodedSample]:
    """Tokenize samples in context.

    The tokens of a secret are those whose offsets overlap its span (`overlapping`). Special tokens
    that the tokenizer adds have empty offsets, so they overlap nothing.
    """
    if not samples:
        return []
    encoded = clm.tokenizer(
        [sample.content.reveal() for sample in samples],
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    return [
        _encode(clm, sample, ids, offsets)
        for sample, ids, offsets in zip(
            samples, encoded["input_ids"], encoded["offset_mapping"], strict=True
        )
    ]


def _encode(
    clm: Clm, sample: SensitiveSample, ids: list[int], offsets: list[tuple[int, int]]
) -> EncodedSample:
    content = sample.content.reveal()
    # A secret of characters that the tokenizer drops has no token; it gets a problem, no measures.
    places = [
        overlapping(clm, content, ids, offsets, secret.start, secret.end) or (0, 0)
        for secret in sample.secrets
    ]
    leading, special = 0, clm.tokenizer.all_special_ids
    while leading < len(ids) and ids[leading] in special and offsets[leading] == (0, 0):
        leading += 1
    shift = int(any(first == 0 and last > 0 for first, last in places))
    starts = [a for a, _ in offsets]
    if shift:
        ids, starts = [clm.start_token, *ids], [0, *starts]
    return EncodedSample(
        tuple(ids),
        tuple(
            EncodedSecret(first + shift, last + shift, starts[first + shift] if last else 0)
            for first, last in places
        ),
        tuple(starts),
        leading,
    )


def overlapping(
    clm: Clm,
    text: str,
    ids: Sequence[int],
    offsets: Sequence[tuple[int, int]],
    start: int,
    end: int,
) -> tuple[int, int] | None:
    """Return the tokens `[first, last)` whose offsets overlap `[start, end)`; None if none do.

    The space that some tokenizers add before a text (Llama's, or byte-level ones with
    `add_prefix_space`) is a token with the offsets of the first character. It is excluded.

    Args:
        clm: its tokenizer decodes tokens.
        text: the text.
        ids: tokens of the text.
        offsets: code points `[start, end)` of each token.
        start: first code point of the span.
        end: code point after the span.
    """
    hit = [i for i, (a, b) in enumerate(offsets) if a < end and b > start]
    while len(hit) > 1 and _is_added_space(clm, text, ids[hit[0]], offsets[hit[0] : hit[0] + 2]):
        hit.pop(0)
    return (hit[0], hit[-1] + 1) if hit else None


def _is_added_space(clm: Clm, text: str, token: int, offsets: Sequence[tuple[int, int]]) -> bool:
    """Return whether a token is white space that the text does not have.

    Args:
        clm: its tokenizer decodes the token.
        text: the text.
        token: the token.
        offsets: its offsets and those of the next token.
    """
    (start, end), (next_start, _) = offsets
    # An added space has the same start as the next token; checked first, since decoding is slow.
    if start != next_start or text[start:end].isspace():
        return False
    return not str(clm.tokenizer.decode([token], clean_up_tokenization_spaces=False)).strip()
