"""Writing a report in the format that its suffix names."""

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
"""The function that formats a report, by the suffix of the file."""


def check_report_path(path: str | Path) -> Path:
    """Refuse a path that a report cannot be written to; called before hours of work.

    Raises:
        BadInput: no format has this suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise BadInput(
            f"{path}: no report format has the suffix {path.suffix!r}: use {', '.join(FORMATS)}"
        )
    check_writable(path)
    return path


def write_report(path: str | Path, document: dict[str, Any]) -> None:
    """Write a report, as `Report.as_dict` returns it, atomically.

    Raises:
        BadInput: no format has this suffix, or the file cannot be written.
    """
    write_text(path, FORMATS[check_report_path(path).suffix](document))
