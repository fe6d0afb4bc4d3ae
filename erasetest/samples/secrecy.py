"""Keep secrets out of ids, kinds, paths and unknown keys of manifests, which reports show."""

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
from erasetest.samples.redactor import MIN_LENGTH, Redactor
from erasetest.samples.sample import SensitiveSample, Source
from erasetest.support.wording import MAX_NAMED, first_of

_WORDS = re.compile(r"[a-z]+(-[a-z]+)*")


class BadRow(Exception):
    """A row is invalid. The message never quotes its content."""


def refuse_secrets_in_ids(samples: Sequence[SensitiveSample], where: str) -> list[SensitiveSample]:
    """Refuse samples whose ids or kinds contain a secret of another sample, and mask the rest.

    Args:
        samples: the samples of all manifests of a run.
        where: the source of the samples in messages ("of FILE").

    Returns:
        The samples, with secrets of all samples masked in their paths and unknown keys.

    Raises:
        BadInput: an id, a kind or an unknown key contains a part of a secret.
    """
    redactor = Redactor(
        (secret.text for sample in samples for secret in sample.secrets), any_case=True
    )
    masked: list[SensitiveSample] = []
    for number, sample in enumerate(samples, 1):
        if redactor.finds(sample.id) or any(reveals_secret(k, redactor) for k in sample.kinds):
            raise BadInput(
                f"sample {number} {where}: its 'id' or a 'kind' contains a part of a secret of "
                "another sample, and reports show both: rename it"
            )
        source = sample.source
        masked_source = Source(redactor(source.path), source.line) if source is not None else None
        try:
            extra = mask_extra(sample.extra, redactor)
            secrets = tuple(replace(s, extra=mask_extra(s.extra, redactor)) for s in sample.secrets)
        except BadRow as bad:
            raise BadInput(f"sample {number} {where}: {bad}") from None
        masked.append(replace(sample, source=masked_source, extra=extra, secrets=secrets))
    return masked


def mask_extra(extra: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Return unknown keys, with each value that contains a part of a secret masked.

    Raises:
        BadRow: a key contains a part of a secret.
    """
    masked: dict[str, Any] = {}
    for key, value in extra.items():
        if redactor.finds(key):
            raise BadRow("an unknown key contains a part of a secret, and keys are shown")
        if not isinstance(value, Masked | bool | int | float | None):
            # Parquet has types that JSON lacks, such as dates.
            text = json.dumps(value, ensure_ascii=False, default=str)
            value = Masked(text) if redactor.finds(text) else value
        masked[key] = value
    return masked


def is_kind_word(kind: str) -> bool:
    """Return whether a kind consists of plain words, which are exempt from the search."""
    return _WORDS.fullmatch(kind) is not None


def reveals_secret(kind: str, redactor: Redactor) -> bool:
    """Return whether a kind contains a part of a secret."""
    # Plain words are exempt because a password may be "password": its kind reveals nothing more.
    return not is_kind_word(kind) and redactor.finds(kind)


class ShortSecrets:
    """Collector of secrets that are too short to be masked, by sample id and span."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._first: list[str] = []
        self._count = 0

    def add(self, sample: SensitiveSample) -> None:
        """Collect the short secrets of a sample."""
        for secret in sample.secrets:
            if len(secret.text) < MIN_LENGTH:
                self._count += 1
                if len(self._first) < MAX_NAMED:
                    self._first.append(f"{sample.id} [{secret.start}, {secret.end})")

    def warn(self) -> None:
        """Warn of all short secrets that were added, without their text."""
        if self._count:
            warnings.warn(
                f"{self._path}: secrets of fewer than {MIN_LENGTH} characters cannot be masked in "
                f"output: {first_of(self._first, self._count)}: remove them, or extend their spans",
                ShortSecretWarning,
                stacklevel=2,
            )
