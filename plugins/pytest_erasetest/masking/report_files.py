"""Mask the files that pytest and common plugins write at the end of a run.

The reports in them are masked already (`hooks`). What the plugins add is not, such as the
properties of the test suite in JUnit XML, or the environment in HTML.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import xml_key

from erasetest.errors import ErasetestError
from erasetest.support.atomic_files import write_text
from pytest_erasetest.masking.report_objects import Mask

_OPTIONS = {"htmlpath": None, "json_report_file": "json_report", "report_log": None}
"""Options of pytest-html, -json-report and -reportlog that name a file, and the option that enables
it if there is one."""


def report_files(config: pytest.Config) -> list[Path]:
    """Return the absolute paths of the files: tests may change the working folder."""
    junit: Any = config.stash.get(xml_key, None)
    files = [Path(junit.logfile)] if junit is not None else []
    for name, switch in _OPTIONS.items():
        path = getattr(config.option, name, None)
        if path and (switch is None or getattr(config.option, switch, False)):
            files.append(Path(os.path.expandvars(path)).expanduser())
    return [path.absolute() for path in files]


def mask_files(paths: list[Path], mask: Mask) -> None:
    """Mask files that have been written; remove one that cannot be rewritten.

    Raises:
        ErasetestError: a file was removed.
    """
    for path in paths:
        # Compressed files cannot be searched as text.
        if not path.is_file() or path.suffix in {".bz2", ".gz", ".xz"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        masked = mask(text)
        if masked != text:
            try:
                write_text(path, masked)
            except ErasetestError:
                path.unlink(missing_ok=True)
                raise
