"""The first and the last hook of a run: no exit status 0 without the verdicts that were asked for.

Other plugins may change the status within the session; pytest's own result passes through here
last. Only `erasetest gate` can detect what ends the process without it, such as `os._exit`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from erasetest.errors import BadInput
from erasetest.support.gate_variable import GATE_VARIABLE
from pytest_erasetest.option_values import given_options, options_named_in
from pytest_erasetest.stash import REFUSED, REQUEST, run_state

_WITHOUT_TESTS = {
    "collectonly": "--collect-only",
    "setuponly": "--setup-only",
    "setupplan": "--setup-plan",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "markers": "--markers",
    "cacheshow": "--cache-show",
    "help": "--help",
    "version": "--version",
}
"""Options of pytest that run no test and end with status 0, by attribute of `config.option`."""

_NOT_LOADED = "the CLM, or its base, cannot be loaded"


def take_request(early_config: pytest.Config, args: list[str]) -> None:
    """Take the request of `erasetest gate`; refuse a trace file that would overwrite an input.

    Without a test file or folder on the command line, `erasetest gate` runs the suites.
    """
    given: Any = early_config.known_args_namespace
    request = None
    try:
        if GATE_VARIABLE in os.environ:
            from erasetest.reports.gate_result import Request

            request = Request.take(os.environ)
        if getattr(given, "debug", None):
            from pytest_erasetest.files_used import check_debug_file

            # Now, because pytest empties the file when it opens it.
            check_debug_file(given)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    if request is not None:
        early_config.stash[REQUEST] = request
        if not given.file_or_dir:
            _add_suites(early_config, args)


def is_gate(config: pytest.Config) -> bool:
    """Return whether options of the plugin, or `erasetest gate`, ask for a verdict on a CLM."""
    return REQUEST in config.stash or bool(_given(config))


def _given(config: pytest.Config) -> list[str]:
    """Return our options on the command line, also those after `--help`, which pytest skips."""
    unread = {str(argument).partition("=")[0] for argument in config.invocation_params.args}
    if not getattr(config.option, "help", False):
        unread.clear()
    return given_options(config.option) or options_named_in(unread)


def _add_suites(early_config: pytest.Config, args: list[str]) -> None:
    """Run the suites, as if their folder were on the command line."""
    installed = Path(__file__).parent / "suites"
    # A clone without symbolic links has them only as a folder of the repository.
    suites = str(installed if installed.is_dir() else Path(__file__).parents[2] / "suites")
    # In front, because `--erase` at the end would take the path as its METHOD.
    args.insert(0, suites)
    given: Any = early_config.known_args_namespace
    given.file_or_dir = [suites]
    called = early_config.invocation_params
    # The workers of pytest-xdist are started with these arguments.
    early_config.invocation_params = pytest.Config.InvocationParams(
        args=(suites, *called.args), plugins=called.plugins, dir=called.dir
    )


def refuse_without_tests(config: pytest.Config) -> None:
    """Refuse options with which a gate would run no test.

    Raises:
        pytest.UsageError: names the option.
    """
    if not is_gate(config):
        return
    for name, flag in _WITHOUT_TESTS.items():
        if getattr(config.option, name, None):
            ours = ", ".join(_given(config))
            advice = f", or {ours} to use {flag} alone" if ours else ""
            raise pytest.UsageError(
                f"{flag} runs no test, so the CLM would not be judged: leave out {flag}{advice}"
            )


def end_with(item: pytest.Item, report: pytest.TestReport, reason: str) -> None:
    """End the run after this test: the CLM cannot be loaded, so every other test would fail too.

    Args:
        item: the test.
        report: its report, which becomes short: the end of the session shows the reason once.
        reason: why the CLM cannot be loaded, masked.
    """
    report.longrepr = _NOT_LOADED
    item.session.shouldstop = _NOT_LOADED
    item.config.stash[REFUSED] = reason
    output = getattr(item.config, "workeroutput", None)
    if output is not None:
        output["erasetest_refused"] = reason


def checked_status(config: pytest.Config, status: int) -> int:
    """Return the status of pytest, unless the report, or the lack of one, contradicts it."""
    state = run_state(config)
    if state is None and REFUSED not in config.stash and not is_gate(config):
        return status  # before an import that other runs of pytest do not need
    from erasetest.reports.gate_result import failed_status, final_status

    if REFUSED in config.stash:
        final = pytest.ExitCode.USAGE_ERROR if status == 0 else status
    elif state is not None and state.status is not None:
        final = final_status(status, state.status)
    elif state is not None and (state.finished or not state.counts):
        return status
    elif is_gate(config):
        final = failed_status(status) if status & 0xFF == 0 else status
    else:
        return status
    if final != status:
        found = state.report["verdict"] if state is not None and state.report else "nothing"
        sys.stderr.write(
            f"erasetest: pytest was about to end with status {status}, but the report says "
            f"{found}: status {int(final)}\n"
        )
    return int(final)
