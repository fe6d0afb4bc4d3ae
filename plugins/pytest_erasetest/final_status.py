"""The first and the last hook of a run: no way to exit status 0 without the verdicts asked for.

Whatever other plugins make of the status inside the session, pytest's own result passes through
here last. What runs outside of it, such as `os._exit`, only `erasetest gate` can see.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from erasetest.errors import BadInput
from erasetest.reports.gate_result import Request, failed_status, final_status
from pytest_erasetest.files_used import check_debug_file
from pytest_erasetest.options import OPTIONS, given_options
from pytest_erasetest.run_state import REFUSED, REQUEST, run_state

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
"""pytest's options that run no test and end with status 0, by their place in `config.option`."""


def take_request(early_config: pytest.Config, args: list[str]) -> None:
    """Take the request of `erasetest gate`; refuse a trace file that would overwrite an input."""
    given: Any = early_config.known_args_namespace
    try:
        request = Request.take(os.environ)
        # Before pytest opens it: that empties it.
        check_debug_file(given)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    if request is not None:
        early_config.stash[REQUEST] = request
        if not given.file_or_dir:
            _add_suites(early_config, args)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(
    config: pytest.Config,
) -> Generator[None, int | pytest.ExitCode, int | pytest.ExitCode]:
    """Refuse what runs no test, and hold the status against the report at the very end."""
    if hasattr(config, "workerinput"):
        return (yield)
    _refuse_without_tests(config)
    try:
        status = yield
    except SystemExit as ended:
        if not is_gate(config):
            raise
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return _checked(config, int(status))


def is_gate(config: pytest.Config) -> bool:
    """Whether this run was asked to judge a CLM: by our options, or by `erasetest gate`."""
    return REQUEST in config.stash or bool(_given(config))


def _given(config: pytest.Config) -> list[str]:
    """Our options on the command line, also those behind `--help`, where pytest stops to read."""
    unread = {str(argument).partition("=")[0] for argument in config.invocation_params.args}
    if not getattr(config.option, "help", False):
        unread.clear()
    return given_options(config.option) or [o.flag for o in OPTIONS if o.flag in unread]


def _add_suites(early_config: pytest.Config, args: list[str]) -> None:
    """Run the suites, as if their folder stood on the command line."""
    installed = Path(__file__).parent / "suites"
    # In a clone they are a folder of the repository.
    suites = str(installed if installed.is_dir() else Path(__file__).parents[2] / "suites")
    # In front: `--erase` at the end would take the path for its METHOD.
    args.insert(0, suites)
    given: Any = early_config.known_args_namespace
    given.file_or_dir = [suites]
    called = early_config.invocation_params
    # What the workers of pytest-xdist are started with.
    early_config.invocation_params = pytest.Config.InvocationParams(
        args=(suites, *called.args), plugins=called.plugins, dir=called.dir
    )


def _refuse_without_tests(config: pytest.Config) -> None:
    if not is_gate(config):
        return
    for name, flag in _WITHOUT_TESTS.items():
        if getattr(config.option, name, None):
            ours = ", ".join(_given(config))
            advice = f", or {ours} to use {flag} by itself" if ours else ""
            raise pytest.UsageError(
                f"{flag} runs no test, so the CLM would not be judged: leave out {flag}{advice}"
            )


def _checked(config: pytest.Config, status: int) -> int:
    """The status, unless the report or the lack of one speaks against it."""
    state = run_state(config)
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
