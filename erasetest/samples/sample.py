"""One piece of code with its secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from erasetest.samples.masked import Masked
from erasetest.support.atomic_files import id_key


@dataclass(frozen=True, slots=True)
class Secret:
    """A half-open span `[start, end)` of Unicode code points of a sample, and what it is.

    `extra` has the unknown keys. A value in which a part of a secret stands is `Masked`, as JSON.
    """

    start: int
    end: int
    kind: str
    text: Masked = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sample was found."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class SensitiveSample:
    """One piece of code with its secrets. Content and secrets are masked wherever shown.

    `extra` has the unknown keys. A value in which a part of a secret stands is `Masked`, as JSON.
    """

    id: str
    content: Masked = field(repr=False)
    secrets: tuple[Secret, ...]
    source: Source | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its secrets, each once, in order of first appearance."""
        return tuple(dict.fromkeys(secret.kind for secret in self.secrets))


def make_sample(
    content: str,
    spans: Iterable[tuple[int, int, str]] = (),
    *,
    id: str | None = None,  # noqa: A002 - the manifest's word
    source: Source | None = None,
) -> SensitiveSample:
    """A sample of content and `(start, end, kind)` spans; without `id`, a keyed hash names it."""
    secrets = tuple(
        Secret(start, end, kind, Masked(content[start:end])) for start, end, kind in spans
    )
    return SensitiveSample(id or content_id(content), Masked(content), secrets, source)


def content_id(content: str) -> str:
    """A name for content that nobody without the key can link to it (keyed BLAKE2b, 64 bits)."""
    return hashlib.blake2b(content.encode(), digest_size=8, key=id_key()[:64]).hexdigest()
