"""Readers of JSON files that contain one document: thresholds, baselines, reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from erasetest.errors import ManifestError


def read_json(path: str | Path) -> Any:
    """Read a JSON file. A byte order mark, which some editors write, is accepted.

    Raises:
        ManifestError: the file cannot be read or is not JSON; the message never quotes the file.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ManifestError(path, None, f"cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ManifestError(path, None, "is not JSON") from None


def read_document(path: str | Path, schema: str, what: str) -> dict[str, Any]:
    """Read a JSON object and check the schema that it declares.

    Args:
        path: the file.
        schema: the required value of its key `schema`.
        what: what messages call such a file, with its article ("a baseline").

    Raises:
        ManifestError: as `read_json`, or the file declares no schema or a different one.
    """
    document = read_json(path)
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise ManifestError(path, None, f"is not {what}: expected schema {schema!r}")
    return document
