"""Mask the reports of tests: the last line of defence before they leave this process."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import erasetest
from erasetest.errors import BadInput
from erasetest.samples import Masked, SensitiveSample
from erasetest.samples.redactor import Redactor

Mask = Callable[[str], str]

_OURS = (Path(erasetest.__file__).parent, Path(__file__).parents[1])
_NOT_SHOWN = {"call", "duration", "longrepr", "outcome", "result", "start", "stop", "when"}
"""Attributes of a report that are masked separately, or contain no text of the user."""


class LazyRedactor:
    """The redactor of a run, created when the first text is masked.

    While the manifests cannot be read, nothing is masked. They are read again for the next text;
    the check of the options refuses a run without readable manifests.
    """

    def __init__(self, read: Callable[[], Iterable[SensitiveSample]]) -> None:
        self._read = read
        self._made: Redactor | None = None
        self._lock = threading.RLock()
        self._reading = False

    def use(self, read: Callable[[], Iterable[SensitiveSample]]) -> None:
        """Replace the function that reads the samples."""
        self._read, self._made = read, None

    def get(self) -> Redactor:
        """Return the redactor."""
        if self._made is not None:
            return self._made
        with self._lock:
            if self._made is None and not self._reading:
                # Reading may print a warning, which is masked too: it must not start again.
                self._reading = True
                try:
                    samples = self._read()
                    self._made = Redactor(s.text for sample in samples for s in sample.secrets)
                except (BadInput, OSError):
                    return Redactor(())
                finally:
                    self._reading = False
            return self._made or Redactor(())


class ReportRedactor:
    """Masks secrets in the report of a test: in its failure, captured output and logs.

    A failure inside erasetest is shown as locations and message only, also with `-l` and
    `--fulltrace`, because local variables there hold content and token ids. Failures of the user's
    code are shown as pytest shows them, masked.
    """

    def __init__(self, redactor: LazyRedactor) -> None:
        self.redactor = redactor

    def text(self, text: str) -> str:
        """Return a text, masked."""
        return self.redactor.get()(text)

    def clean(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        error: pytest.ExceptionInfo[BaseException] | None,
    ) -> None:
        """Mask a report in place. `error` is the exception that it reports."""
        if error is not None and report.longrepr is not None and _is_ours(error):
            report.longrepr = self.text(_locations(error))
        self.mask(report)

    def mask(self, report: Any) -> None:
        """Mask every text of a report in place, including those that other plugins added."""
        for name, value in list(vars(report).items()):
            if name not in _NOT_SHOWN:
                masked = self.value(value)
                if masked is not value:
                    setattr(report, name, masked)
        longrepr = report.longrepr
        if isinstance(longrepr, tuple | str):
            report.longrepr = self.value(longrepr)
        elif longrepr is not None and self._shows(report):
            report.longrepr = self.text(str(longrepr))

    def value(self, value: Any) -> Any:
        """Return a value with its texts masked: the same object if there is nothing to mask.

        An object other than a JSON value, a set or a dataclass is replaced by its masked repr if
        its repr or str contains a secret.
        """
        if value is None or isinstance(value, bool | Masked):
            return value
        if isinstance(value, str):
            masked = self.text(value)
            return value if masked == value else masked
        if isinstance(value, dict):
            pairs = [(self.value(key), self.value(one)) for key, one in value.items()]
            same = all(
                k is a and v is b for (k, v), (a, b) in zip(value.items(), pairs, strict=True)
            )
            return value if same else dict(pairs)
        if type(value) in (list, tuple, set, frozenset):
            members = [self.value(one) for one in value]
            same = all(one is other for one, other in zip(value, members, strict=True))
            return value if same else type(value)(members)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._fields(value)
        return self._object(value)

    def _fields(self, value: Any) -> Any:
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        masked = {name: self.value(one) for name, one in fields.items()}
        if all(masked[name] is fields[name] for name in fields):
            return value
        return dataclasses.replace(value, **masked)

    def _object(self, value: Any) -> Any:
        shown = _shown(value)
        masked = [self.text(text) for text in shown]
        return value if masked == shown else masked[0]

    def _shows(self, report: Any) -> bool:
        """Return whether a failure shows a secret, in its text or in its serialized form."""
        finds = self.redactor.get().finds
        if finds(str(report.longrepr)):
            return True
        try:
            return finds(json.dumps(report._to_json()["longrepr"], default=str))
        except Exception:
            # Reports of other plugins cannot be serialized.
            return False


def _shown(value: object) -> list[str]:
    """Return the texts that may represent an object in output."""
    try:
        return [repr(value), str(value)]
    except Exception:
        return []


def _is_ours(error: pytest.ExceptionInfo[BaseException]) -> bool:
    if isinstance(error.value, pytest.fail.Exception | pytest.skip.Exception):
        return False
    return any(folder in Path(str(e.path)).parents for e in error.traceback for folder in _OURS)


def _locations(error: pytest.ExceptionInfo[BaseException]) -> str:
    lines = [
        f"{entry.path}:{entry.lineno + 1}: in {entry.name}"
        for entry in error.traceback
        if not {"_pytest", "pluggy"} & set(Path(str(entry.path)).parts)
    ]
    message = (str(error.value).splitlines() or [""])[0]
    return "\n".join([f"{error.typename}: {message}", *lines])
