"""What the hooks keep for a run, found by its `pytest.Config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from erasetest.reports.gate_result import Request
from pytest_erasetest.delivered_results import Delivered
from pytest_erasetest.gate import Gate
from pytest_erasetest.masking.test_reports import LazyRedactor, ReportRedactor
from pytest_erasetest.options import Settings


@dataclass(slots=True)
class RunState:
    """Everything that the plugin knows in this process."""

    settings: Settings
    gate: Gate
    redactor: ReportRedactor
    delivered: Delivered
    worker: bool
    given: bool = True
    """Whether options of the plugin stand on the command line, or `erasetest gate` runs pytest.

    Else the settings are those of an ini file, and count only where a test asks for them.
    """
    prepared: bool = False
    """Whether what was given has been checked."""
    temporary: str | None = None
    report: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    crashed: str | None = None
    finished: bool = False
    """Whether the run was judged, or found to have nothing to judge."""
    status: int | None = None
    """The exit status that the run was judged to end with."""

    @property
    def counts(self) -> bool:
        """Whether samples without a verdict fail this run."""
        return self.given or bool(self.delivered.tests)


STATE = pytest.StashKey[RunState]()
REQUEST = pytest.StashKey[Request]()
"""Where `erasetest gate`, which runs this pytest, wants the result."""
REDACTOR = pytest.StashKey[LazyRedactor]()
"""What masks standard output and error, from before any `conftest.py` was imported."""
REFUSED = pytest.StashKey[str]()
"""Why the tests that were collected cannot be run as they were asked for, where it is so."""


def run_state(config: pytest.Config) -> RunState | None:
    """The state of an active run, else None."""
    return config.stash.get(STATE, None)


def gate_of(config: pytest.Config) -> Gate:
    """The gate of an active run.

    Raises:
        pytest.UsageError: no CLM was given.
    """
    state = run_state(config)
    if state is None:
        raise pytest.UsageError(NO_CLM)
    return state.gate


NO_CLM = "these tests need a CLM: --clm MODEL with --leak-samples FILE, or --clm demo to try it"
