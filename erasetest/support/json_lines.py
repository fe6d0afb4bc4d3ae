"""Reader of JSON Lines files, plain or gzip."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from erasetest.errors import ManifestError


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line number and the object of each line; blank lines are skipped.

    Raises:
        ManifestError: the file cannot be read, or a line is not a JSON object; the message never
            quotes the file.
    """
    try:
        with _open_text(path) as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield number, _row(path, number, text)
    except UnicodeDecodeError:
        raise ManifestError(path, None, "is not UTF-8 text") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ManifestError(path, None, "is a truncated or damaged gzip file") from None
    except OSError as error:
        raise ManifestError(path, None, f"cannot be read: {error.strerror or error}") from None


def _row(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        reason = f"not valid JSON ({error.msg})" if hasattr(error, "msg") else "not JSON"
        raise ManifestError(path, number, reason) from None
    except RecursionError:
        raise ManifestError(path, number, "not valid JSON (nested too deeply)") from None
    if not isinstance(row, dict):
        raise ManifestError(path, number, f"expected a JSON object, got {type(row).__name__}")
    return row


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig"))
    return path.open(encoding="utf-8-sig")
