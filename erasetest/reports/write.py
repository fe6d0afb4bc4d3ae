"""Write a report in the form that its suffix names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput
from erasetest.probes.measures import finite
from erasetest.reports.markdown import markdown
from erasetest.support.atomic_files import check_writable, write_text


def _json(document: dict[str, Any]) -> str:
    return json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {".json": _json, ".md": markdown}
"""Suffix, and what makes the text."""


def check_report_path(path: str | Path) -> Path:
    """Refuse a report that could not be written: call it before hours of work.

    Raises:
        BadInput: no form has this suffix, or nothing can be written there.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise BadInput(
            f"{path}: no report has the suffix {path.suffix!r}: use {', '.join(FORMATS)}"
        )
    check_writable(path)
    return path


def write_report(path: str | Path, document: dict[str, Any]) -> None:
    """Write a report atomically.

    Raises:
        BadInput: no form has this suffix, or it cannot be written.
    """
    write_text(path, FORMATS[check_report_path(path).suffix](document))
