"""The hooks: options in, verdicts out. Nothing here imports torch; what needs it is in `gate`."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import pytest

from pytest_erasetest import fixtures, outcome
from pytest_erasetest.collection_check import (
    asks_for_samples,
    our_fixtures,
    pytest_collection_finish,
    samples_of,
    unusable,
)
from pytest_erasetest.delivered_results import Delivered, attach
from pytest_erasetest.final_status import is_gate, pytest_cmdline_main, take_request
from pytest_erasetest.masking.early_output import mask_captured, mask_output
from pytest_erasetest.options import Settings, add_options, read_settings
from pytest_erasetest.run_state import NO_CLM, REQUEST

__all__ = ["pytest_cmdline_main", "pytest_collection_finish"]
"""Hooks that have files of their own."""

ERASURE_MARK = "erasure"
UTILITY_MARK = "utility"

_NOT_LOADED = "the CLM cannot be loaded"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None]:
    """Mask output before any `conftest.py` is imported; take the request of `erasetest gate`."""
    mask_output(early_config)
    take_request(early_config, args)
    try:
        return (yield)
    finally:
        mask_captured(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and set up a run that uses them."""
    config.addinivalue_line(
        "markers", f"{ERASURE_MARK}: tests of the erased CLM; deselected without --erase"
    )
    config.addinivalue_line(
        "markers", f"{UTILITY_MARK}: tests of pass@k; deselected without --utility"
    )
    config.pluginmanager.register(fixtures, "erasetest-fixtures")
    if config.pluginmanager.hasplugin("xdist"):
        from pytest_erasetest import xdist_hooks

        config.pluginmanager.register(xdist_hooks, "erasetest-distributed")
    settings = read_settings(config)
    if settings.active and not getattr(config.option, "help", False):
        _activate(config, settings)
    elif REQUEST in config.stash:
        raise pytest.UsageError(NO_CLM)


def _activate(config: pytest.Config, settings: Settings) -> None:
    from erasetest.support.progress import Task, progress
    from erasetest.support.temporary_folder import process_folder
    from erasetest.support.torch_environment import quiet
    from pytest_erasetest.gate import Gate
    from pytest_erasetest.masking.hooks import refuse_unmasked, start_masking
    from pytest_erasetest.run_state import STATE, RunState
    from pytest_erasetest.shared_results import SharedResults
    from pytest_erasetest.termination import end_as_interrupted

    quiet()
    refuse_unmasked(config)
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    folder = given["erasetest_ledger"] if given else tempfile.mkdtemp(dir=process_folder())
    # A worker that the user named by --tx has no number of ours.
    number = re.fullmatch(r"gw(\d+)", given["workerid"]) if given else None
    worker = int(number.group(1)) if number else 0
    workers = int(given["workercount"]) if given else 1

    @contextmanager
    def shown(title: str) -> Generator[Task]:
        with _uncaptured(config), progress(title, cast("TextIO", _OwnLine(config))) as task:
            yield task

    def show(title: str) -> AbstractContextManager[Task]:
        return shown(title)

    from_options: bool = given["erasetest_given"] if given else is_gate(config)
    gate = Gate(settings, SharedResults(Path(folder)), worker, workers, show)
    state = config.stash[STATE] = RunState(
        settings,
        gate,
        start_masking(config, lambda: gate.given.samples),
        Delivered(),
        worker=given is not None,
        given=from_options,
        # The controller of a worker has checked what options gave.
        prepared=given is not None and from_options,
        temporary=None if given else folder,
    )
    if given is None:
        end_as_interrupted(config)
        refusal = unusable(config, state)
        if refusal is not None:
            shutil.rmtree(folder, ignore_errors=True)
            raise pytest.UsageError(refusal)


@contextmanager
def _uncaptured(config: pytest.Config) -> Generator[None]:
    """Let what is written in the block reach the terminal, whatever captures it."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


class _OwnLine:
    """Standard error, where the first text written does not go on in pytest's line of dots."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal = config.pluginmanager.getplugin("terminalreporter")

    def write(self, text: str) -> int:
        """Write a text, on a new line at first."""
        if self._terminal is not None:
            self._terminal.ensure_newline()
            self._terminal.flush()
            self._terminal = None
        return sys.stderr.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what was kept for the run alone."""
    from pytest_erasetest.run_state import run_state

    state = run_state(config)
    if state is None:
        return
    state.gate.given.held.close()
    if state.temporary is not None:
        shutil.rmtree(state.temporary, ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> str | None:
    """One line of what is tested."""
    from pytest_erasetest.run_state import run_state

    state = run_state(config)
    if state is None:
        return None
    s = state.settings
    parts = [f"clm {s.clm}"]
    parts.append("samples " + (", ".join(s.leak_samples) or "of the demo"))
    if s.erase:
        parts.append(f"erase by {s.erase}" + (f" into {s.erase_out}" if s.erase_out else ""))
    if s.utility:
        parts.append(f"utility {s.utility}, {s.utility_samples} samples a problem")
    return "erasetest: " + "; ".join(parts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test case for each sample."""
    if "sensitive_sample" not in metafunc.fixturenames or not asks_for_samples(metafunc):
        return
    from pytest_erasetest.run_state import run_state

    state = run_state(metafunc.config)
    samples = samples_of(state) if state is not None else []
    if state is None or not samples:
        # A placeholder: `pytest_collection_finish` refuses the run once all is collected.
        metafunc.parametrize("sensitive_sample", [0], ids=["none"], indirect=True)
        return
    state.delivered.expected.update(sample.id for sample in samples)
    metafunc.parametrize(
        "sensitive_sample", range(len(samples)), ids=[s.id for s in samples], indirect=True
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of what was not asked for."""
    from pytest_erasetest.masking.outputs import mask_names
    from pytest_erasetest.run_state import run_state

    asking = {item: bool(our_fixtures(item)) for item in items}
    state = run_state(config)
    if state is None:
        return
    mask_names(items, state.redactor.text)
    unasked = {
        mark
        for mark, asked in (
            (ERASURE_MARK, state.settings.erase),
            (UTILITY_MARK, state.settings.utility),
        )
        if not asked
    }
    # Others may mark tests by these names as well, and mean something else.
    left_out = [
        item
        for item in items
        if asking.get(item) and any(item.get_closest_marker(mark) for mark in unasked)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        out = set(left_out)
        items[:] = [item for item in items if item not in out]
    # The given CLM before the erased one: a reader, and `-x`, meet the leaks first.
    items.sort(key=_phase)


def _phase(item: pytest.Item) -> int:
    if item.get_closest_marker(UTILITY_MARK):
        return 2
    return 1 if item.get_closest_marker(ERASURE_MARK) else 0


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mask the report of a test."""
    report = yield
    from pytest_erasetest.run_state import run_state

    state = run_state(item.config)
    if state is not None:
        attach(report, item)
        state.redactor.clean(report, call.excinfo)
        if state.gate.refused is not None and report.failed:
            _refuse(item, report, state.redactor.text(state.gate.refused))
    return report


def _refuse(item: pytest.Item, report: pytest.TestReport, reason: str) -> None:
    """End the run with this test: the CLM cannot be loaded, and every other one would say so."""
    from pytest_erasetest.run_state import REFUSED

    # The reason itself is said once, when the session ends.
    report.longrepr = _NOT_LOADED
    item.session.shouldstop = _NOT_LOADED
    item.config.stash[REFUSED] = reason
    output = getattr(item.config, "workeroutput", None)
    if output is not None:
        output["erasetest_refused"] = reason


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Mask the report of a collection."""
    report = yield
    from pytest_erasetest.run_state import run_state

    state = run_state(collector.config)
    if state is not None:
        call = getattr(report, "call", None)
        state.redactor.clean(report, call.excinfo if call is not None else None)
    return report


class _Recorder:
    """Takes note of what tests deliver; registered by the process that ends the run."""

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._delivered.record(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._delivered.errors.append(report.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to the tests."""
    from pytest_erasetest.run_state import run_state

    state = run_state(session.config)
    if state is None:
        return
    if not state.worker:
        session.config.pluginmanager.register(_Recorder(state.delivered), "erasetest-recorder")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """Find out the rest, judge the run, write the reports."""
    from pytest_erasetest.run_state import run_state

    state = run_state(session.config)
    if state is None or session.config.option.collectonly:
        return
    outcome.finish(session, state, exitstatus)


@pytest.hookimpl(trylast=True, specname="pytest_sessionfinish")
def pytest_sessionfinish_refused(session: pytest.Session) -> None:
    """End as a usage error where the tests could not be run as they were asked for."""
    from pytest_erasetest.run_state import REFUSED

    if REFUSED in session.config.stash:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        terminal = session.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            # Under xdist the terminal does not know that its line of dots is not over.
            terminal.write("\n")
            terminal.write_line(f"ERROR: {session.config.stash[REFUSED]}", red=True)
        else:
            sys.stderr.write(f"ERROR: {session.config.stash[REFUSED]}\n")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What leaked, by kind and worst first."""
    from pytest_erasetest.run_state import run_state

    state = run_state(config)
    if state is not None and state.report is not None:
        from pytest_erasetest.summary import summarize

        summarize(terminalreporter, state)
