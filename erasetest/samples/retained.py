"""The retained set: code that erasing must not change, and other code that this is measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from erasetest.errors import BadInput
from erasetest.samples.sample import SensitiveSample

RETENTION_MARGIN = 0.03
"""Drop of the share of retained tokens that are predicted that still counts as kept."""

HELD_OUT = 5
"""Each fifth text of a retained set is kept from erasing, to measure retention on."""

_SHORTEST = 8
"""Characters of a secret that is looked for: shorter ones stand in any code by chance."""


def split_retained(
    texts: Sequence[SensitiveSample], samples: Sequence[SensitiveSample]
) -> tuple[list[SensitiveSample], list[SensitiveSample]]:
    """What erasing may train on, and what retention is measured on; no text is in both.

    A text that stands there twice is taken once.

    Raises:
        BadInput: a text holds a secret of a sample, or there are too few texts.
    """
    check_disjoint(samples, texts)
    distinct = list({text.content: text for text in reversed(texts)}.values())[::-1]
    if len(distinct) < HELD_OUT:
        raise BadInput(
            f"{len(distinct)} different texts are too few to keep some for measuring retention: "
            f"give {HELD_OUT} or more"
        )
    return [text for i, text in enumerate(distinct) if i % HELD_OUT], distinct[::HELD_OUT]


def check_disjoint(samples: Sequence[SensitiveSample], texts: Sequence[SensitiveSample]) -> None:
    """Refuse retained code that holds a secret of a sample.

    Raises:
        BadInput: with the number of the retained text, whose id nobody compared with secrets of
            other manifests, and the sample whose secret it holds.
    """
    holds = secret_owner(samples)
    for number, kept in enumerate(texts, 1):
        owner = holds(kept.content.reveal())
        if owner is not None:
            raise BadInput(
                f"retained text {number} holds a secret of sample {owner}: "
                "take it out of the retained set"
            )


def secret_owner(
    samples: Sequence[SensitiveSample], part: int | None = None
) -> Callable[[str], str | None]:
    """What tells which sample's secret a text holds, by the sample's id; None where it holds none.

    As in `secret_matcher`. With `part`, so many characters of a secret in a row are enough.
    """
    find = secret_matcher(samples, part)

    def owner(text: str) -> str | None:
        return next((found.sample for _, _, found in find(text)), None)

    return owner


class SecretOwner(NamedTuple):
    """Whose secret a text holds."""

    sample: str
    """Its id."""
    kind: str


def secret_matcher(
    samples: Sequence[SensitiveSample], part: int | None = None
) -> Callable[[str], Iterator[tuple[int, str, SecretOwner]]]:
    """What finds secrets in a text: where, what stands there, and whose it is.

    Secrets of less than eight characters stand in any code by chance, and are not looked for. With
    `part`, all runs of so many characters of a secret are, and secrets as short as that.
    """
    known: dict[str, dict[str, SecretOwner]] = {}
    head = part or _SHORTEST
    for sample in samples:
        for secret in sample.secrets:
            if len(secret.text) >= head:
                for piece in _windows(secret.text.reveal(), part or len(secret.text)):
                    owner = SecretOwner(sample.id, secret.kind)
                    known.setdefault(piece[:head], {}).setdefault(piece, owner)

    def found(text: str) -> Iterator[tuple[int, str, SecretOwner]]:
        for start, window in enumerate(_windows(text, head)):
            for piece, owner in known.get(window, {}).items():
                if text.startswith(piece, start):
                    yield start, piece, owner

    return found


def _windows(text: str, size: int) -> Iterator[str]:
    """All runs of so many characters of a text, in order."""
    return (text[i : i + size] for i in range(len(text) - size + 1))
