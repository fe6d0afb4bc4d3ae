"""From a sample's code points to the tokens that its secrets are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from erasetest.clm.model import Clm
from erasetest.samples import SensitiveSample


@dataclass(frozen=True, slots=True, repr=False)
class EncodedSecret:
    """Where a secret stands in the tokens: `[first, last)`.

    `text_start` is the code point at which the first of these tokens begins: a little before the
    secret where they share a token.
    """

    first: int
    last: int
    text_start: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True, slots=True, repr=False)
class EncodedSample:
    """A sample's token ids, tokenized once and whole, and its secrets' places in them.

    Where a secret would stand at position 0, one start token was put before the text, so that every
    token of a secret has a token before it.
    """

    ids: tuple[int, ...]
    secrets: tuple[EncodedSecret, ...]
    text_starts: tuple[int, ...]
    """The code point at which each token begins."""


def encode(clm: Clm, samples: Sequence[SensitiveSample]) -> list[EncodedSample]:
    """Tokenize samples in context.

    The tokens of a secret are those whose offsets overlap its span (`overlapping`); special tokens
    that the tokenizer adds overlap nothing.
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
    # A span of characters that the tokenizer drops has no token; it is judged by nobody.
    places = [
        overlapping(clm, content, ids, offsets, secret.start, secret.end) or (0, 0)
        for secret in sample.secrets
    ]
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
    )


def overlapping(
    clm: Clm,
    text: str,
    ids: Sequence[int],
    offsets: Sequence[tuple[int, int]],
    start: int,
    end: int,
) -> tuple[int, int] | None:
    """The tokens `[first, last)` of a text whose offsets overlap `[start, end)`; None if none do.

    A token of the space that some tokenizers add before a text (Llama's, or byte-level ones with
    `add_prefix_space`) has the offsets of the first character, and is not part of it.
    """
    hit = [i for i, (a, b) in enumerate(offsets) if a < end and b > start]
    while len(hit) > 1 and _is_added_space(clm, text, ids[hit[0]], offsets[hit[0] : hit[0] + 2]):
        hit.pop(0)
    return (hit[0], hit[-1] + 1) if hit else None


def _is_added_space(clm: Clm, text: str, token: int, offsets: Sequence[tuple[int, int]]) -> bool:
    """Whether a token is white space where the text has none; `offsets` are its and the next's."""
    (start, end), (next_start, _) = offsets
    # Decoding takes time, and an added space always shares its place with the token after it.
    if start != next_start or text[start:end].isspace():
        return False
    return not str(clm.tokenizer.decode([token], clean_up_tokenization_spaces=False)).strip()
