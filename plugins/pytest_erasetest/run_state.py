"""The state of a run, in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_erasetest.delivered_results import Delivered
from pytest_erasetest.gate import Gate
from pytest_erasetest.masking.report_objects import ReportRedactor
from pytest_erasetest.options import Settings


@dataclass(slots=True)
class RunState:
    """The state of the plugin in this process."""

    settings: Settings
    gate: Gate
    redactor: ReportRedactor
    delivered: Delivered
    worker: bool
    on_command_line: bool = True
    """Whether options of the plugin are on the command line, or `erasetest gate` runs pytest.

    Otherwise the settings come from an ini file, and have effect only if a test asks for them.
    """
    prepared: bool = False
    """Whether the inputs have been checked."""
    temporary: str | None = None
    """Folder to remove at the end of the run; None in a worker."""
    report: dict[str, Any] | None = None
    """The leakage report, once the run has a verdict."""
    notes: list[str] = field(default_factory=list)
    """Lines for the end of the summary."""
    crashed: str | None = None
    """Why the run could not be completed or its results not be written."""
    finished: bool = False
    """Whether the run has a verdict, or needs none."""
    status: int | None = None
    """The exit status that the verdict demands."""

    @property
    def counts(self) -> bool:
        """Whether samples without a verdict fail this run."""
        return self.on_command_line or bool(self.delivered.tests)
