"""Rows of manifests, written to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from erasetest.errors import ManifestError
from erasetest.samples import (
    read_manifest,
)

SECRET = "AKIAQ7RZ0XJ2M9TB4WKE"
CONTENT = f'key = "{SECRET}"\n'
ROW = {"content": CONTENT, "secrets": [{"start": 7, "end": 27, "kind": "aws-access-key"}]}


def write_rows(path: Path, *rows: dict[str, Any] | str) -> Path:
    """Write a manifest of rows, or of lines that are not rows."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def refusal(path: Path, **options: bool) -> str:
    """Return the message with which a manifest is refused: one line, without an earlier error."""
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message
