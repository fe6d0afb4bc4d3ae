"""Convert rows of a manifest to samples, and samples to rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from erasetest.samples.masked import Masked
from erasetest.samples.redactor import Redactor
from erasetest.samples.sample import Secret, SensitiveSample, Source, content_id
from erasetest.samples.secrecy import BadRow, mask_extra, reveals_secret

_MAX_LABEL_LENGTH = 200


def parse_row(row: dict[str, Any], require_secrets: bool) -> SensitiveSample:
    """Convert a row to a sample, and mask unknown keys and paths that contain a part of a secret.

    Raises:
        BadRow: the row is invalid; the message never quotes its content.
    """
    content = row.get("content")
    if not isinstance(content, str) or not content:
        raise BadRow("'content' must be a non-empty string")
    if any("\ud800" <= character <= "\udfff" for character in content):
        raise BadRow("'content' contains a lone surrogate, which no tokenizer can read")
    secrets = tuple(_secret(content, given) for given in _secret_rows(row, require_secrets))
    sample_id = row.get("id")
    sample_id = content_id(content) if sample_id is None else _label("id", sample_id)
    redactor = Redactor((secret.text for secret in secrets), any_case=True)
    if redactor.finds(sample_id):
        raise BadRow("'id' contains a part of a secret, and reports show ids")
    if any(reveals_secret(secret.kind, redactor) for secret in secrets):
        raise BadRow("'kind' contains a part of a secret, and reports show kinds")
    extra = {k: v for k, v in row.items() if k not in {"id", "content", "secrets", "source"}}
    return SensitiveSample(
        sample_id,
        Masked(content),
        tuple(replace(secret, extra=mask_extra(secret.extra, redactor)) for secret in secrets),
        _source(row.get("source"), redactor),
        mask_extra(extra, redactor),
    )


def _secret_rows(row: dict[str, Any], required: bool) -> list[Any]:
    given = row.get("secrets", [])
    if not isinstance(given, list):
        raise BadRow(f"'secrets' must be a list, got {_type(given)}")
    if required and not given:
        raise BadRow("'secrets' is empty: a sensitive sample needs at least one secret")
    return given


def _secret(content: str, given: object) -> Secret:
    if not isinstance(given, dict):
        raise BadRow(f"a secret must be an object, got {_type(given)}")
    start, end, kind = given.get("start"), given.get("end"), given.get("kind")
    if type(start) is not int or type(end) is not int:
        raise BadRow("a secret needs integers 'start' and 'end'")
    if not 0 <= start < end <= len(content):
        raise BadRow(
            f"span [{start}, {end}) is empty or outside the content's {len(content)} code points"
        )
    if kind is None:
        raise BadRow("a secret needs a 'kind', such as \"aws-access-key\"")
    kind = _label("kind", kind)
    extra = {k: v for k, v in given.items() if k not in {"start", "end", "kind"}}
    return Secret(start, end, kind, Masked(content[start:end]), extra)


def _label(key: str, given: object) -> str:
    """Check an id or a kind, which reports show; messages never quote an invalid one."""
    expected = f"{key!r} must be a string of 1 to {_MAX_LABEL_LENGTH} printable characters"
    if not isinstance(given, str):
        raise BadRow(f"{expected}, got {_type(given)}")
    if not 0 < len(given) <= _MAX_LABEL_LENGTH:
        raise BadRow(f"{expected}, got {len(given)} characters")
    if not given.isprintable():
        raise BadRow(f"{expected}, got an unprintable character")
    return given


def _source(given: object, redactor: Redactor) -> Source | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("path"), str):
        raise BadRow("'source' must be an object with a string 'path'")
    line = given.get("line")
    if line is not None and type(line) is not int:
        raise BadRow("'source.line' must be an integer")
    # Terminals show the path: unprintable characters are escaped.
    path = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in given["path"])
    return Source(redactor(path), line)


def _type(value: object) -> str:
    return type(value).__name__


def as_row(sample: SensitiveSample) -> dict[str, Any]:
    """Return a sample as a row of a manifest. The row contains the secrets unmasked."""
    row: dict[str, Any] = {
        "id": sample.id,
        "content": sample.content.reveal(),
        "secrets": [
            {"start": s.start, "end": s.end, "kind": s.kind, **_revealed(s.extra)}
            for s in sample.secrets
        ],
    }
    if sample.source is not None:
        row["source"] = {"path": sample.source.path}
        if sample.source.line is not None:
            row["source"]["line"] = sample.source.line
    return {**row, **_revealed(sample.extra)}


def to_line(sample: SensitiveSample) -> str:
    """Return a sample as one line of a manifest. The line contains the secrets unmasked."""
    line = json.dumps(as_row(sample), ensure_ascii=False)
    # A lone surrogate in an unknown key has no UTF-8; backslashreplace writes its JSON escape.
    return line.encode(errors="backslashreplace").decode()


def _revealed(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {k: json.loads(v.reveal()) if isinstance(v, Masked) else v for k, v in extra.items()}
