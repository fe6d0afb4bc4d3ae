"""The last line of defence: no report of a test leaves this process with a secret in it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

import pytest

import erasetest
from erasetest.redact import Redactor
from erasetest.samples import SensitiveSample

_OURS = (Path(erasetest.__file__).parent, Path(__file__).parent)


class ReportRedactor:
    """Masks secrets in what a test's report shows: its failure, its captured output and logs.

    A failure that passes through our own code, where locals hold content and token ids, is shown as
    places and message alone, whatever `-l` and `--fulltrace` ask for. Failures of the user's own
    code are shown as pytest shows them, masked.
    """

    def __init__(self, samples: Iterable[SensitiveSample]) -> None:
        self._samples = samples

    @functools.cached_property
    def _redact(self) -> Redactor:
        return Redactor(secret.text for sample in self._samples for secret in sample.secrets)

    def text(self, text: str) -> str:
        """A text, masked."""
        return self._redact(text)

    def clean(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        error: pytest.ExceptionInfo[BaseException] | None,
    ) -> None:
        """Mask a report in place."""
        expected = getattr(report, "wasxfail", None)
        if isinstance(expected, str):
            report.wasxfail = self._redact(expected)  # type: ignore[union-attr]
        if isinstance(report.longrepr, tuple):
            # A skip: pytest takes it apart into path, line and reason.
            path, line, reason = report.longrepr
            report.longrepr = (path, line, self._redact(reason))
        elif report.longrepr is not None:
            shown = _places(error) if error is not None and _is_ours(error) else None
            text = shown if shown is not None else str(report.longrepr)
            if shown is not None or self._redact.finds(text):
                report.longrepr = self._redact(text)
        if isinstance(report, pytest.TestReport):
            report.user_properties = [
                (name, self._redact(value) if isinstance(value, str) else value)
                for name, value in report.user_properties
            ]
        report.sections = [(name, self._redact(text)) for name, text in report.sections]


def _is_ours(error: pytest.ExceptionInfo[BaseException]) -> bool:
    if isinstance(error.value, pytest.fail.Exception | pytest.skip.Exception):
        return False
    return any(place in Path(str(e.path)).parents for e in error.traceback for place in _OURS)


def _places(error: pytest.ExceptionInfo[BaseException]) -> str:
    lines = [
        f"{entry.path}:{entry.lineno + 1}: in {entry.name}"
        for entry in error.traceback
        if not {"_pytest", "pluggy"} & set(Path(str(entry.path)).parts)
    ]
    message = (str(error.value).splitlines() or [""])[0]
    return "\n".join([f"{error.typename}: {message}", *lines])
