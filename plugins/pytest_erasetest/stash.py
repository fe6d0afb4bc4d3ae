"""Where hooks find the state of a run: keys of the stash of its `pytest.Config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from erasetest.reports.gate_result import Request
    from pytest_erasetest.gate import Gate
    from pytest_erasetest.masking.report_objects import LazyRedactor
    from pytest_erasetest.run_state import RunState

STATE: pytest.StashKey[RunState] = pytest.StashKey()
REQUEST: pytest.StashKey[Request] = pytest.StashKey()
"""Where to write the result for `erasetest gate`, which runs this pytest."""
REDACTOR: pytest.StashKey[LazyRedactor] = pytest.StashKey()
"""The redactor of standard output and error, installed before any `conftest.py` is imported."""
REFUSED: pytest.StashKey[str] = pytest.StashKey()
"""Why the collected tests cannot be run."""

NO_CLM = "these tests need a CLM: --clm MODEL with --leak-samples FILE, or --clm demo to try it"


def run_state(config: pytest.Config) -> RunState | None:
    """Return the state of a run that uses the plugin, else None."""
    return config.stash.get(STATE, None)


def gate_of(config: pytest.Config) -> Gate:
    """Return the gate of the run.

    Raises:
        pytest.UsageError: no CLM is given.
    """
    state = run_state(config)
    if state is None:
        raise pytest.UsageError(NO_CLM)
    return state.gate
