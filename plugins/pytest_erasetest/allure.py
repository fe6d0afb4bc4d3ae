"""Allure takes exceptions and parameters from pytest by itself: its files are masked as written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pytest_erasetest.redaction import ReportRedactor


def mask_allure(redactor: ReportRedactor) -> None:
    """Mask what Allure writes from now on, where it is used."""
    if "allure_commons" not in sys.modules:
        return
    from allure_commons import hookimpl, plugin_manager
    from allure_commons.logger import AllureFileLogger

    class MaskedFileLogger:
        """Hands to Allure's own writer what it was given, masked."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        @hookimpl
        def report_result(self, result: Any) -> None:
            self._inner.report_result(_masked(result, redactor))

        @hookimpl
        def report_container(self, container: Any) -> None:
            self._inner.report_container(_masked(container, redactor))

        @hookimpl
        def report_globals(self, globals_item: Any) -> None:
            self._inner.report_globals(_masked(globals_item, redactor))

        @hookimpl
        def report_attached_data(self, body: str | bytes, file_name: str) -> None:
            self._inner.report_attached_data(_masked_body(body, redactor), file_name)

        @hookimpl
        def report_attached_file(self, source: str, file_name: str) -> None:
            self.report_attached_data(Path(source).read_bytes(), file_name)

    for plugin in list(plugin_manager.get_plugins()):
        if isinstance(plugin, AllureFileLogger):
            plugin_manager.unregister(plugin)
            plugin_manager.register(MaskedFileLogger(plugin))


def _masked(item: Any, redactor: ReportRedactor) -> Any:
    """One of Allure's attrs objects, masked in place with all that it holds."""
    for name, value in vars(item).items():
        setattr(item, name, _masked_value(value, redactor))
    return item


def _masked_value(value: Any, redactor: ReportRedactor) -> Any:
    if hasattr(value, "__attrs_attrs__"):
        return _masked(value, redactor)
    if isinstance(value, list):
        return [_masked_value(one, redactor) for one in value]
    return redactor.value(value)


def _masked_body(body: str | bytes, redactor: ReportRedactor) -> str | bytes:
    if isinstance(body, str):
        return redactor.text(body)
    text = body.decode("utf-8", "surrogateescape")
    return redactor.text(text).encode("utf-8", "surrogateescape")
