"""The channels that pytest writes by itself: terminal, log file, JUnit XML, names of tests.

What a report of a test shows is masked at its source (`redaction`). Warnings, live logs, reasons of
`pytest.exit`, properties and interrupts reach these channels without passing a report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import xml_key

from erasetest.errors import ErasetestError
from erasetest.files import write_text

Mask = Callable[[str], str]
_JUNIT = pytest.StashKey[Path]()
"""Where pytest writes its JUnit XML, which only its own plugin knows for certain."""


class _MaskedFile:
    """A text file that masks what is written to it."""

    def __init__(self, file: Any, mask: Mask) -> None:
        self._file, self._mask = file, mask

    def write(self, text: str) -> int:
        """Write a text, masked."""
        written: int = self._file.write(self._mask(text))
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _MaskedFormatter(logging.Formatter):
    def __init__(self, inner: logging.Formatter, mask: Mask) -> None:
        super().__init__()
        self._inner, self._mask = inner, mask

    def format(self, record: logging.LogRecord) -> str:
        return self._mask(self._inner.format(record))


def mask_channels(config: pytest.Config, mask: Mask) -> None:
    """Mask the terminal, the log file and the trace of `--debug` from now on."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    writer = getattr(reporter, "_tw", None)
    if writer is not None and not isinstance(writer._file, _MaskedFile):
        writer._file = _MaskedFile(writer._file, mask)
    logs: Any = config.pluginmanager.getplugin("logging-plugin")
    handler = getattr(logs, "log_file_handler", None)
    if handler is not None and handler.formatter is not None:
        handler.setFormatter(_MaskedFormatter(handler.formatter, mask))
    trace: Any = config.trace.root
    write = getattr(trace, "_writer", None)
    if write is not None:
        trace.setwriter(lambda text: write(mask(text)))
    junit = config.stash.get(xml_key, None)
    if junit is not None:
        config.stash[_JUNIT] = Path(junit.logfile)


def mask_names(items: list[Any], mask: Mask) -> None:
    """Rename tests whose ids hold a secret: names reach caches, XML and folders."""
    for number, item in enumerate(items):
        if mask(item.nodeid) != item.nodeid:
            hidden = f"{mask(item.nodeid)}-{number}"
            item.name = f"{mask(item.name)}-{number}"
            # Newer versions of pytest keep the id in parts.
            if hasattr(item, "_id"):
                item._id = type(item._id).parse(hidden)
            else:
                item._nodeid = hidden


def mask_junit(config: pytest.Config, mask: Mask) -> None:
    """Mask the JUnit XML that has been written; remove it if it cannot be rewritten."""
    path = config.stash.get(_JUNIT, None)
    if path is None or not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    masked = mask(text)
    if masked != text:
        try:
            write_text(path, masked)
        except ErasetestError:
            path.unlink(missing_ok=True)
            raise
