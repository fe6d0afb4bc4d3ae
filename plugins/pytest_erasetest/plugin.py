"""The hooks of the plugin, as a table of contents.

Every run of pytest imports this module, also those that never use the plugin. Hooks therefore
import what they need when an option of the plugin is used, and not before.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from pytest_erasetest import fixtures, status_guard
from pytest_erasetest.fixture_use import asks_for_samples, our_fixtures
from pytest_erasetest.option_values import (
    add_options,
    early_values,
    given_options,
    read_values,
)
from pytest_erasetest.stash import NO_CLM, REFUSED, REQUEST, run_state


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None]:
    """Mask output before any `conftest.py` is imported; take the request of `erasetest gate`."""
    clm, manifests = early_values(early_config)
    if clm is None:
        status_guard.take_request(early_config, args)
        return (yield)
    from pytest_erasetest.masking.early_output import mask_captured, mask_output

    mask_output(early_config, clm, manifests)
    status_guard.take_request(early_config, args)
    try:
        return (yield)
    finally:
        mask_captured(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register marks and fixtures; set up a run that uses the options."""
    config.addinivalue_line(
        "markers", "erasure: tests of the erased CLM; deselected without --erase"
    )
    config.addinivalue_line("markers", "utility: tests of pass@k; deselected without --utility")
    config.pluginmanager.register(fixtures, "erasetest-fixtures")
    if config.pluginmanager.hasplugin("xdist"):
        from pytest_erasetest import xdist_hooks

        config.pluginmanager.register(xdist_hooks, "erasetest-xdist")
    values, given = read_values(config), given_options(config.option)
    if "clm" in values or given:
        from pytest_erasetest.option_checks import make_settings

        settings = make_settings(values, given)
        if not getattr(config.option, "help", False):
            from pytest_erasetest.activation import activate

            activate(config, settings)
            return
    if REQUEST in config.stash:
        raise pytest.UsageError(NO_CLM)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove temporary files, and release the output folder."""
    state = run_state(config)
    if state is not None:
        from pytest_erasetest.activation import deactivate

        deactivate(state)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(
    config: pytest.Config,
) -> Generator[None, int | pytest.ExitCode, int | pytest.ExitCode]:
    """Refuse options that run no test; compare the status with the report at the very end."""
    if hasattr(config, "workerinput"):
        return (yield)
    status_guard.refuse_without_tests(config)
    try:
        status = yield
    except SystemExit as ended:
        if not status_guard.is_gate(config):
            raise
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return status_guard.checked_status(config, int(status))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Record the results of tests, in the process that computes the verdict."""
    state = run_state(session.config)
    if state is not None and not state.worker:
        from pytest_erasetest.delivered_results import ResultRecorder

        recorder = ResultRecorder(state.delivered)
        session.config.pluginmanager.register(recorder, "erasetest-recorder")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Describe what is tested, in one line."""
    state = run_state(config)
    if state is None:
        return None
    from pytest_erasetest.summary import header

    return header(state.settings)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test case per sample."""
    if "sensitive_sample" in metafunc.fixturenames and asks_for_samples(metafunc):
        from pytest_erasetest.collection import parametrize_by_sample

        parametrize_by_sample(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of what was not asked for; run those of the erased CLM last."""
    state = run_state(config)
    if state is not None:
        from pytest_erasetest.collection import select_and_sort

        select_and_sort(config, state, items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a run whose tests need what was not given or cannot be used."""
    asking = [item.nodeid for item in session.items if our_fixtures(item)]
    if asking:
        from pytest_erasetest.collection import check_or_refuse

        check_or_refuse(session, asking)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the verdicts that a test received to its report, and mask the report."""
    report = yield
    state = run_state(item.config)
    if state is not None:
        from pytest_erasetest.delivered_results import attach

        attach(report, item)
        state.redactor.clean(report, call.excinfo)
        if state.gate.refused is not None and report.failed:
            status_guard.end_with(item, report, state.redactor.text(state.gate.refused))
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Mask the report of a collection."""
    report = yield
    state = run_state(collector.config)
    if state is not None:
        call = getattr(report, "call", None)
        state.redactor.clean(report, call.excinfo if call is not None else None)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """Complete the measurements, compute the verdict and write the reports."""
    state = run_state(session.config)
    if state is not None and not session.config.option.collectonly:
        from pytest_erasetest.outcome import finish

        finish(session, state, exitstatus)


@pytest.hookimpl(trylast=True, specname="pytest_sessionfinish")
def pytest_sessionfinish_refused(session: pytest.Session) -> None:
    """End with the status of a usage error if the tests cannot be run."""
    if REFUSED in session.config.stash:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        reason = f"ERROR: {session.config.stash[REFUSED]}"
        terminal = session.config.pluginmanager.getplugin("terminalreporter")
        if terminal is None:
            sys.stderr.write(f"{reason}\n")
        else:
            # Under xdist the terminal does not know that its line of dots has not ended.
            terminal.write("\n")
            terminal.write_line(reason, red=True)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what leaked: by kind, and the worst samples first."""
    state = run_state(config)
    if state is not None and state.report is not None:
        from pytest_erasetest.summary import summarize

        summarize(terminalreporter, state)
