"""The last line of defence: no report of a test leaves this process with a secret in it."""

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
"""Attributes of a report that are masked in another way, or hold no text of the user's."""


class LazyRedactor:
    """The redactor of a run, made when the first text has to be masked.

    Manifests that cannot be read (yet) have no secrets to mask: they are tried again with the next
    text, and refused by the check of the options.
    """

    def __init__(self, read: Callable[[], Iterable[SensitiveSample]]) -> None:
        self._read = read
        self._made: Redactor | None = None
        self._lock = threading.RLock()
        self._reading = False

    def use(self, read: Callable[[], Iterable[SensitiveSample]]) -> None:
        """Read the samples in another way from now on."""
        self._read, self._made = read, None

    def get(self) -> Redactor:
        """The redactor."""
        if self._made is not None:
            return self._made
        with self._lock:
            if self._made is None and not self._reading:
                # Reading may itself print, such as a warning: that must not start it again.
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
    """Masks secrets in what a test's report shows: its failure, its captured output and logs.

    A failure that passes through our own code, where locals hold content and token ids, is shown as
    places and message alone, whatever `-l` and `--fulltrace` ask for. Failures of the user's own
    code are shown as pytest shows them, masked.
    """

    def __init__(self, redactor: LazyRedactor) -> None:
        self.redactor = redactor

    def text(self, text: str) -> str:
        """A text, masked."""
        return self.redactor.get()(text)

    def clean(
        self,
        report: pytest.TestReport | pytest.CollectReport,
        error: pytest.ExceptionInfo[BaseException] | None,
    ) -> None:
        """Mask a report in place; `error` is the exception that it reports."""
        if error is not None and report.longrepr is not None and _is_ours(error):
            report.longrepr = self.text(_places(error))
        self.mask(report)

    def mask(self, report: Any) -> None:
        """Mask every text of a report in place, those that other plugins added as well."""
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
        """A value with its texts masked: itself where it has nothing to mask, else a copy.

        An object that is none of the containers of JSON and shows a secret becomes its masked repr.
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
        """Whether a failure shows a secret: in its text, or in what is sent to other processes."""
        finds = self.redactor.get().finds
        if finds(str(report.longrepr)):
            return True
        try:
            return finds(json.dumps(report._to_json()["longrepr"], default=str))
        except Exception:
            # Reports of other plugins have no such form.
            return False


def _shown(value: object) -> list[str]:
    """What an object may be shown as."""
    try:
        return [repr(value), str(value)]
    except Exception:
        return []


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
