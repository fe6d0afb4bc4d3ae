"""The retained set: code whose prediction erasing must preserve, split for training and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from erasetest.errors import BadInput
from erasetest.samples.sample import SensitiveSample

RETENTION_MARGIN = 0.03
"""Tolerated drop in next-token accuracy on retained text (a fraction)."""

_HELD_OUT_EVERY = 5
"""One of this many texts of a retained set is not trained on, to measure retention."""

_MIN_SECRET_LENGTH = 8
"""Secrets with fewer characters are not searched for: they occur in any code by chance."""


def split_retained(
    texts: Sequence[SensitiveSample], samples: Sequence[SensitiveSample]
) -> tuple[list[SensitiveSample], list[SensitiveSample]]:
    """Split a retained set into disjoint texts for training and for measuring retention.

    Duplicate texts are dropped.

    Raises:
        BadInput: a text contains a secret of a sample, or there are too few texts.
    """
    check_disjoint(samples, texts)
    distinct = list({text.content: text for text in reversed(texts)}.values())[::-1]
    if len(distinct) < _HELD_OUT_EVERY:
        raise BadInput(
            f"{len(distinct)} distinct retained texts are too few to hold one out for measuring "
            f"retention: give {_HELD_OUT_EVERY} or more"
        )
    training = [text for i, text in enumerate(distinct) if i % _HELD_OUT_EVERY]
    return training, distinct[::_HELD_OUT_EVERY]


def check_disjoint(samples: Sequence[SensitiveSample], texts: Sequence[SensitiveSample]) -> None:
    """Refuse retained code that contains a secret of a sample.

    Raises:
        BadInput: a text contains a secret; the message gives the number of the text and the id of
            the sample.
    """
    owner_of_secret_in = secret_owner(samples)
    for number, text in enumerate(texts, 1):
        owner = owner_of_secret_in(text.content.reveal())
        if owner is not None:
            # The number, because nobody checked the text's id for secrets of this manifest.
            raise BadInput(
                f"retained text {number} contains a secret of sample {owner}: "
                "remove it from the retained set"
            )


def secret_owner(
    samples: Sequence[SensitiveSample], part: int | None = None
) -> Callable[[str], str | None]:
    """Return a function that gives the id of the sample whose secret a text contains, or None.

    `part` is the number of consecutive characters of a secret that count as the secret; None
    requires the whole secret.
    """
    find = secret_matcher(samples, part)

    def owner(text: str) -> str | None:
        return next((found.sample for _, _, found in find(text)), None)

    return owner


class SecretOwner(NamedTuple):
    """The sample that a secret belongs to, and the kind of the secret."""

    sample: str
    """The id of the sample."""
    kind: str


def secret_matcher(
    samples: Sequence[SensitiveSample], part: int | None = None
) -> Callable[[str], Iterator[tuple[int, str, SecretOwner]]]:
    """Return a function that yields the start, the text and the owner of each secret in a text.

    Secrets of fewer than eight characters are not searched for: they occur in any code by chance.
    With `part`, every run of `part` characters of a secret is, including secrets of that length.
    """
    # The first characters of each piece select the few pieces that are compared at a position.
    pieces: dict[str, dict[str, SecretOwner]] = {}
    head = part or _MIN_SECRET_LENGTH
    for sample in samples:
        for secret in sample.secrets:
            if len(secret.text) >= head:
                for piece in _substrings(secret.text.reveal(), part or len(secret.text)):
                    owner = SecretOwner(sample.id, secret.kind)
                    pieces.setdefault(piece[:head], {}).setdefault(piece, owner)

    def find(text: str) -> Iterator[tuple[int, str, SecretOwner]]:
        for start, window in enumerate(_substrings(text, head)):
            for piece, owner in pieces.get(window, {}).items():
                if text.startswith(piece, start):
                    yield start, piece, owner

    return find


def _substrings(text: str, size: int) -> Iterator[str]:
    """Yield all substrings of `size` characters, in order."""
    return (text[i : i + size] for i in range(len(text) - size + 1))
