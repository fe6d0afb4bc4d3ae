"""From a sample's code points to the tokens that its secrets are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from erasetest.clm.load import Clm
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

    The tokens of a secret are those whose offsets overlap its span; special tokens that the
    tokenizer adds overlap nothing.
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
    places = []
    for secret in sample.secrets:
        hit = [i for i, (a, b) in enumerate(offsets) if a < secret.end and b > secret.start]
        # A span of characters that the tokenizer drops has no token; it is judged by nobody.
        places.append((hit[0], hit[-1] + 1) if hit else (0, 0))
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
