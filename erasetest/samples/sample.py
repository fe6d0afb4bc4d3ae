"""Sensitive samples: pieces of code with their secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from erasetest.samples.masked import Masked
from erasetest.support.atomic_files import id_key


@dataclass(frozen=True, slots=True)
class Secret:
    """A half-open span `[start, end)` of Unicode code points in a sample, with its kind.

    `extra` holds unknown keys of the manifest. A value that contains a part of a secret is stored
    as JSON in a `Masked`.
    """

    start: int
    end: int
    kind: str
    text: Masked = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """The file and line in which a sample was found."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class SensitiveSample:
    """One piece of code with its secrets; content and secrets are masked when shown.

    `extra` holds unknown keys of the manifest, as in `Secret`.
    """

    id: str
    content: Masked = field(repr=False)
    secrets: tuple[Secret, ...]
    source: Source | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The distinct kinds of its secrets, in order of first occurrence."""
        return tuple(dict.fromkeys(secret.kind for secret in self.secrets))


def make_sample(
    content: str,
    spans: Iterable[tuple[int, int, str]] = (),
    *,
    id: str | None = None,  # noqa: A002 - the manifest's word
    source: Source | None = None,
) -> SensitiveSample:
    """Build a sample.

    Args:
        content: the code.
        spans: `(start, end, kind)` of each secret.
        id: None for `content_id`.
        source: where the code comes from, if known.
    """
    secrets = tuple(
        Secret(start, end, kind, Masked(content[start:end])) for start, end, kind in spans
    )
    return SensitiveSample(id or content_id(content), Masked(content), secrets, source)


def content_id(content: str) -> str:
    """Return a keyed hash of content (BLAKE2b, 64 bits in hex).

    Without the key nobody can confirm a guessed content from its id.
    """
    return hashlib.blake2b(content.encode(), digest_size=8, key=id_key()[:64]).hexdigest()
