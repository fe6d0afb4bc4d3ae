"""The hooks that mask what other plugins receive: reports, warnings, ids of tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from erasetest.samples import SensitiveSample
from pytest_erasetest.masking.outputs import mask_outputs, mask_trace
from pytest_erasetest.masking.report_files import mask_files, report_files
from pytest_erasetest.masking.report_objects import LazyRedactor, ReportRedactor
from pytest_erasetest.stash import REDACTOR

_OBSERVABILITY = "HYPOTHESIS_EXPERIMENTAL_OBSERVABILITY"


def refuse_unmasked(config: pytest.Config) -> None:
    """Refuse features that would show secrets and cannot be masked.

    Raises:
        pytest.UsageError: names the feature.
    """
    observed = [name for name in os.environ if name.startswith(_OBSERVABILITY)]
    if observed:
        raise pytest.UsageError(
            f"{observed[0]} writes the arguments of tests to .hypothesis/observed, unmasked: "
            "unset it to test a CLM"
        )
    if getattr(config.option, "pastebin", None):
        raise pytest.UsageError(
            "--pastebin sends what pytest prints to a public service, unmasked: leave it out to "
            "test a CLM"
        )


def start_masking(
    config: pytest.Config, read: Callable[[], Iterable[SensitiveSample]]
) -> ReportRedactor:
    """Mask the secrets of samples in everything that pytest shows from now on.

    `read` returns the samples; it is called when the first text is masked.
    """
    redactor = config.stash.setdefault(REDACTOR, LazyRedactor(read))
    redactor.use(read)
    reports = ReportRedactor(redactor)
    mask_trace(config, reports.text)
    masking = _Masking(reports)
    config.pluginmanager.register(masking, "erasetest-masking")
    # Not in a hook, because another hook that raises would prevent the call.
    config.add_cleanup(lambda: mask_files(masking.files, reports.text))
    return reports


class _Masking:
    """Hooks that mask before other plugins read: wrappers run before all other hooks.

    A report is masked when it is created (`plugin.pytest_runtest_makereport`), and again here,
    because other plugins may have added to it.
    """

    def __init__(self, redactor: ReportRedactor) -> None:
        self._redactor = redactor
        self._renamed = 0
        self.files: list[Path] = []
        """Files that other plugins write when the run ends."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None]:
        mask_outputs(session.config, self._redactor)
        if not hasattr(session.config, "workerinput"):
            self.files = report_files(session.config)
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        self._redactor.mask(report)
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> Generator[None]:
        self._redactor.mask(report)
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        for node in report.result or ():
            self._mask_id(node)
        return report

    def _mask_id(self, node: Any) -> None:
        """Replace an id that contains a secret: ids reach caches, files and folders.

        The name stays until collection ends, because pytest finds the nodes on the command line by
        name; then `outputs.mask_names` replaces it.
        """
        masked = self._redactor.text(node.nodeid)
        if masked != node.nodeid:
            self._renamed += 1
            unique = f"{masked}-{self._renamed}"
            # Newer versions of pytest store the id in parts.
            if hasattr(node, "_id"):
                node._id = type(node._id).parse(unique)
            else:
                node._nodeid = unique

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any) -> None:
        text = str(warning_message.message)
        masked = self._redactor.text(text)
        if masked != text:
            # Not the warning itself: tests may have a reference to it and check its text.
            warning_message.message = UserWarning(masked)
        warning_message.line = self._redactor.value(getattr(warning_message, "line", None))

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_json_modifyreport(self, json_report: dict[str, Any]) -> None:
        """Mask the report of pytest-json-report before it is written."""
        json_report.update(self._redactor.value(json_report))
