"""Mask the files of Allure, which reads exceptions and parameters past pytest's reports."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pytest_erasetest.masking.report_objects import ReportRedactor


def mask_allure(redactor: ReportRedactor) -> None:
    """Mask what Allure writes from now on, if it is used."""
    if "allure_commons" not in sys.modules:
        return
    from allure_commons import plugin_manager
    from allure_commons.logger import AllureFileLogger

    for plugin in plugin_manager.get_plugins():
        if isinstance(plugin, AllureFileLogger):
            for caller in plugin_manager.get_hookcallers(plugin) or ():
                for implementation in caller.get_hookimpls():
                    # Allure looks its writer up by name at the end, so it must stay registered.
                    if implementation.plugin is plugin:
                        implementation.function = _masking(implementation.function, redactor)


def _masking(write: Callable[..., None], redactor: ReportRedactor) -> Callable[..., None]:
    """Return a function of Allure's writer whose first argument is masked."""

    def masked(*arguments: Any) -> None:
        first, *rest = arguments
        if hasattr(first, "__attrs_attrs__"):
            write(_masked(first, redactor), *rest)
        elif write.__name__ == "report_attached_data":
            write(_masked_body(first, redactor), *rest)
        else:
            with tempfile.NamedTemporaryFile() as copy:
                copy.write(cast("bytes", _masked_body(Path(first).read_bytes(), redactor)))
                copy.flush()
                write(copy.name, *rest)

    return masked


def _masked(item: Any, redactor: ReportRedactor) -> Any:
    """Mask one of Allure's attrs objects in place, with everything in it."""
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
