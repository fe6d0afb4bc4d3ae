"""Mask the outputs of pytest itself: terminal, log file, debug trace, names of tests.

Reports of tests are masked when they are created (`hooks`). Live logs, reasons of `pytest.exit` and
interrupts reach these outputs without a report.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pytest_erasetest.masking.allure import mask_allure
from pytest_erasetest.masking.report_objects import Mask, ReportRedactor
from pytest_erasetest.masking.streams import MaskedStream


class _MaskedFormatter(logging.Formatter):
    def __init__(self, inner: logging.Formatter, mask: Mask) -> None:
        super().__init__()
        self._inner, self._mask = inner, mask

    def format(self, record: logging.LogRecord) -> str:
        return self._mask(self._inner.format(record))


def mask_trace(config: pytest.Config, mask: Mask) -> None:
    """Mask the trace of `--debug` from now on."""
    trace: Any = config.trace.root
    write = getattr(trace, "_writer", None)
    if write is not None:
        trace.setwriter(lambda text: write(mask(text)))


def mask_outputs(config: pytest.Config, redactor: ReportRedactor) -> None:
    """Mask the terminal, the log file and the files of Allure from now on."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    writer = getattr(reporter, "_tw", None)
    if writer is not None and not isinstance(writer._file, MaskedStream):
        writer._file = MaskedStream(writer._file, redactor.redactor.get)
    logs: Any = config.pluginmanager.getplugin("logging-plugin")
    handler = getattr(logs, "log_file_handler", None)
    if handler is not None and handler.formatter is not None:
        handler.setFormatter(_MaskedFormatter(handler.formatter, redactor.text))
    mask_allure(redactor)


def mask_names(items: list[Any], mask: Mask) -> None:
    """Rename tests whose names contain a secret: `tmp_path` names folders after tests."""
    for number, item in enumerate(items):
        masked = mask(item.name)
        if masked != item.name:
            item.name = f"{masked}-{number}"
