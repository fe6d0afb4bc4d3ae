"""What the hooks keep for a run, found by its `pytest.Config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_erasetest.gate import Gate
from pytest_erasetest.options import Settings
from pytest_erasetest.redaction import LazyRedactor, ReportRedactor


@dataclass(slots=True)
class Delivered:
    """What came back from the tests, wherever they ran."""

    expected: set[str] = field(default_factory=set)
    """Ids of the samples that tests were collected for."""
    before: set[str] = field(default_factory=set)
    """Ids whose verdict on the given CLM was delivered by a test."""
    failures_by_sample: list[tuple[str, str]] = field(default_factory=list)
    """Tests that failed having asked for the leak of one sample of the given CLM: node id, id."""
    other_failures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class State:
    """Everything that the plugin knows in this process."""

    settings: Settings
    gate: Gate
    redactor: ReportRedactor
    delivered: Delivered
    worker: bool
    temporary: str | None = None
    report: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    crashed: str | None = None


STATE = pytest.StashKey[State]()
REDACTOR = pytest.StashKey[LazyRedactor]()
"""What masks standard output and error, from before any `conftest.py` was imported."""
REFUSED = pytest.StashKey[str]()
"""Why the tests that were collected cannot be run as they were asked for, where it is so."""


def state_of(config: pytest.Config) -> State | None:
    """The state of an active run, else None."""
    return config.stash.get(STATE, None)


def gate_of(config: pytest.Config) -> Gate:
    """The gate of an active run.

    Raises:
        pytest.UsageError: no CLM was given.
    """
    state = state_of(config)
    if state is None:
        raise pytest.UsageError(NO_CLM)
    return state.gate


NO_CLM = "these tests need a CLM: --clm MODEL with --leak-samples FILE, or --clm demo to try it"
