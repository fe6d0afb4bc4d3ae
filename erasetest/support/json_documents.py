"""JSON files that hold one document each: thresholds, baselines, reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from erasetest.errors import ManifestError


def read_json(path: str | Path) -> Any:
    """The content of a JSON file. A byte order mark, which some editors write, is accepted.

    Raises:
        ManifestError: it cannot be read or is not JSON; the message never quotes it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ManifestError(path, None, f"cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ManifestError(path, None, "is not JSON") from None


def read_document(path: str | Path, schema: str, what: str) -> dict[str, Any]:
    """The JSON object of a file that declares its schema.

    Args:
        path: the file.
        schema: the value that its key `schema` must have.
        what: the name of such a file in messages, with its article.

    Raises:
        ManifestError: as `read_json`, or the file declares another schema or none.
    """
    document = read_json(path)
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise ManifestError(path, None, f"is not {what}: expected schema {schema!r}")
    return document
