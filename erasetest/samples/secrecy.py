"""No id, kind, path or unknown key of a manifest may show a secret, because reports show those."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput, ShortSecretWarning
from erasetest.samples.masked import Masked
from erasetest.samples.redactor import SHORTEST, Redactor
from erasetest.samples.sample import SensitiveSample, Source

_NAMED = 5
"""Samples that a warning names."""
_WORDS = re.compile(r"[a-z]+(-[a-z]+)*")


class BadRow(Exception):
    """What is wrong with a row; never quotes its content."""


def refuse_secrets_in_ids(samples: Sequence[SensitiveSample], where: str) -> list[SensitiveSample]:
    """The samples, with no secret of another one in what reports show of each.

    Raises:
        BadInput: an id, a kind or an unknown key holds a part of a secret.
    """
    names = Redactor(
        (secret.text for sample in samples for secret in sample.secrets), any_case=True
    )
    shown: list[SensitiveSample] = []
    for number, sample in enumerate(samples, 1):
        if names.finds(sample.id) or any(kind_shows(names, kind) for kind in sample.kinds):
            raise BadInput(
                f"sample {number} {where}: its 'id' or a 'kind' holds a part of a secret of "
                "another sample, and both are shown in reports"
            )
        source = sample.source
        hidden = Source(names(source.path), source.line) if source is not None else None
        try:
            extra = mask_extra(sample.extra, names)
            secrets = tuple(replace(s, extra=mask_extra(s.extra, names)) for s in sample.secrets)
        except BadRow as bad:
            raise BadInput(f"sample {number} {where}: {bad}") from None
        shown.append(replace(sample, source=hidden, extra=extra, secrets=secrets))
    return shown


def mask_extra(extra: Mapping[str, Any], names: Redactor) -> dict[str, Any]:
    """Unknown keys, with the values masked in which a part of a secret stands.

    Raises:
        BadRow: a key itself holds a part of a secret.
    """
    hidden: dict[str, Any] = {}
    for key, value in extra.items():
        if names.finds(key):
            raise BadRow("an unknown key holds a part of a secret, and keys are shown")
        if not isinstance(value, Masked | bool | int | float | None):
            # Parquet has values that JSON has not, such as dates.
            text = json.dumps(value, ensure_ascii=False, default=str)
            value = Masked(text) if names.finds(text) else value
        hidden[key] = value
    return hidden


def is_kind_word(kind: str) -> bool:
    """Whether a kind is made of plain words, which no secret is looked for in."""
    return _WORDS.fullmatch(kind) is not None


def kind_shows(names: Redactor, kind: str) -> bool:
    """Whether a kind holds a part of a secret."""
    # A password may be the word "password", which its kind then gives away no more than it did.
    return not is_kind_word(kind) and names.finds(kind)


class ShortSecrets:
    """The secrets of a manifest that are too short to be masked, by sample and place."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._first: list[str] = []
        self._count = 0

    def look(self, sample: SensitiveSample) -> None:
        """Take note of a sample's secrets."""
        for secret in sample.secrets:
            if len(secret.text) < SHORTEST:
                self._count += 1
                if len(self._first) < _NAMED:
                    self._first.append(f"{sample.id} [{secret.start}, {secret.end})")

    def warn(self) -> None:
        """Say which they are; the text of none is said."""
        if self._count:
            more = f" and {self._count - _NAMED} more" if self._count > _NAMED else ""
            warnings.warn(
                f"{self._path}: secrets of less than {SHORTEST} characters cannot be masked where "
                f"output shows them: {', '.join(self._first)}{more}; leave them out, or mark more "
                "of the text around them",
                ShortSecretWarning,
                stacklevel=2,
            )
